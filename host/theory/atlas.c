/* atlas.c - the co-scaling plane: exponents to regime and back
 *
 * Implements (3), (119), (124), Table 3 and the tags of the logistic regions. Boundaries are lines,
 * and a point within tol of one is on it.                                                       */
#include "private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const batch_names[] = { "concentrated", "noise_line", "dense", "dense_sparse",
                                           "sparse" };
static const char *const phase_names[] = { "above", "on", "below" };

int mscope_exponents_check(const mscope_exponents *e, mscope_bad *why)
{
    if (e == NULL)
        return mscope_theory_refuse(why, "exponents", NAN, "not NULL");
    if (!(e->kappa >= 0.0 && isfinite(e->kappa)))
        return mscope_theory_refuse(why, "kappa", e->kappa, "kappa >= 0, finite");
    if (!(e->sigma >= 0.0 && isfinite(e->sigma)))
        return mscope_theory_refuse(why, "sigma", e->sigma, "sigma >= 0, finite");
    if (!(e->gamma >= 0.0 && isfinite(e->gamma)))
        return mscope_theory_refuse(why, "gamma", e->gamma, "gamma >= 0, finite");
    if (!(e->tol >= 0.0 && e->tol < 1.0))
        return mscope_theory_refuse(why, "tol", e->tol, "0 <= tol < 1");
    return MSCOPE_OK;
}

static int cmp(double a, double b, double tol)
{
    return fabs(a - b) <= tol ? 0 : a < b ? -1 : 1;
}

static enum mscope_batch_law batch_law(const mscope_exponents *e, double tol)
{
    int noise = cmp(e->kappa, e->sigma - 1.0, tol), dense = cmp(e->kappa, e->sigma, tol);

    if (noise < 0)
        return MSCOPE_CONCENTRATED;
    if (noise == 0)
        return MSCOPE_NOISE_LINE;
    return dense < 0 ? MSCOPE_DENSE : dense == 0 ? MSCOPE_DENSE_SPARSE : MSCOPE_SPARSE;
}

/* Table 3: A left of the noise line; B, C dense; D memoryless; E, F sparse; the resonance line
 * itself separates B from C and E from F                                                        */
static const char *region_of(const mscope_atlas *a, int memoryless)
{
    static const char *const dense[] = { "C", "B|C", "B" }, *const sparse[] = { "F", "E|F", "E" };

    if (a->batch <= MSCOPE_NOISE_LINE)
        return "A";
    if (memoryless)
        return "D";
    return a->batch == MSCOPE_SPARSE ? sparse[a->phase] : dense[a->phase];
}

static const char *limit_of(const mscope_atlas *a, int gamma_zero)
{
    static const char *const limits[] = { "2D", "3D", "1D" };

    return a->batch <= MSCOPE_NOISE_LINE && gamma_zero ? "none" : limits[a->phase];
}

static const char *lr_region_of(const mscope_atlas *a)
{
    static const char *const right[] = { "C", "E", "D" };

    if (a->batch == MSCOPE_CONCENTRATED)
        return a->phase == MSCOPE_ABOVE ? "A" : "none";
    if (a->batch == MSCOPE_NOISE_LINE)
        return a->phase == MSCOPE_ABOVE ? "F" : a->phase == MSCOPE_ON ? "EF" : "none";
    return right[a->phase];
}

int mscope_classify(const mscope_exponents *e, mscope_atlas *out)
{
    double tol, line;
    int memoryless;

    if (mscope_exponents_check(e, NULL) != MSCOPE_OK || out == NULL)
        return MSCOPE_EINVAL;
    tol = e->tol > 0.0 ? e->tol : 1e-9;
    line = 1.0 - e->sigma + e->kappa;
    memset(out, 0, sizeof *out);
    out->batch = batch_law(e, tol);
    out->phase = (enum mscope_phase)(1 - cmp(e->gamma, line, tol));
    out->batch_name = batch_names[out->batch];
    out->phase_name = phase_names[out->phase];
    memoryless = out->batch == MSCOPE_SPARSE && cmp(e->gamma, e->kappa - e->sigma, tol) <= 0;
    if (memoryless)
        snprintf(out->regime, sizeof out->regime, "sparse_memoryless");
    else if (out->batch == MSCOPE_DENSE_SPARSE && out->phase == MSCOPE_ON)
        snprintf(out->regime, sizeof out->regime, "triple_point");
    else
        snprintf(out->regime, sizeof out->regime, "%s_%s", out->batch_name, out->phase_name);
    out->region = region_of(out, memoryless);
    out->limit = limit_of(out, cmp(e->gamma, 0.0, tol) == 0);
    out->lr_region = lr_region_of(out);
    out->alpha = out->phase == MSCOPE_BELOW ? 1.0 - e->sigma : e->gamma - e->kappa;
    out->kappa_eff = fmax(0.0, e->kappa - e->sigma);
    out->nu = fmax(0.0, e->gamma - out->kappa_eff);
    out->retention_exp = out->nu;
    out->learning_exp = out->alpha + e->kappa - out->kappa_eff;
    out->clock = out->phase == MSCOPE_BELOW ? out->learning_exp : out->nu;
    return MSCOPE_OK;
}

static int prefactors_check(const mscope_prefactors *f, mscope_bad *why)
{
    if (f == NULL)
        return mscope_theory_refuse(why, "prefactors", NAN, "not NULL");
    if (!(f->p > 0.0 && isfinite(f->p)))
        return mscope_theory_refuse(why, "p_star", f->p, "p_star > 0, finite");
    if (!(f->batch > 0.0 && isfinite(f->batch)))
        return mscope_theory_refuse(why, "B_star", f->batch, "B_star > 0, finite");
    if (!(f->eps > 0.0 && isfinite(f->eps)))
        return mscope_theory_refuse(why, "eps_star", f->eps, "eps_star > 0, finite");
    if (!(f->eta > 0.0 && isfinite(f->eta)))
        return mscope_theory_refuse(why, "eta_star", f->eta, "eta_star > 0, finite");
    return MSCOPE_OK;
}

int mscope_coscale(const mscope_exponents *e, const mscope_prefactors *f, double d, mscope_ls *out,
                   mscope_bad *why)
{
    mscope_atlas atlas;
    mscope_ls ls = { .d = d };
    int err = mscope_exponents_check(e, why);

    if (err == MSCOPE_OK)
        err = prefactors_check(f, why);
    if (err != MSCOPE_OK)
        return err;
    if (!(d >= 1.0 && isfinite(d)))
        return mscope_theory_refuse(why, "d", d, "d >= 1, finite");
    err = mscope_classify(e, &atlas);
    if (err != MSCOPE_OK || out == NULL)
        return MSCOPE_EINVAL;
    ls.p = f->p * pow(d, -e->kappa);
    ls.batch = f->batch * pow(d, e->sigma);
    ls.eps = f->eps * pow(d, -e->gamma);
    ls.eta = f->eta * pow(d, -atlas.alpha);
    if (!(ls.p <= 1.0))
        return mscope_theory_refuse(why, "p_star", f->p, "p = p_star d^-kappa <= 1");
    if (!(ls.eps <= 1.0))
        return mscope_theory_refuse(why, "eps_star", f->eps, "eps = eps_star d^-gamma <= 1");
    *out = ls;
    return MSCOPE_OK;
}

int mscope_exponents_of(const mscope_ls *ls, const mscope_prefactors *f, double out[4])
{
    double log_d;

    if (mscope_ls_check(ls, NULL) != MSCOPE_OK || prefactors_check(f, NULL) != MSCOPE_OK ||
        out == NULL || !(ls->d > 1.0) || !(ls->eta > 0.0))
        return MSCOPE_EINVAL;
    log_d = log(ls->d);
    out[0] = -log(ls->p / f->p) / log_d;
    out[1] = log(ls->batch / f->batch) / log_d;
    out[2] = -log(ls->eps / f->eps) / log_d;
    out[3] = -log(ls->eta / f->eta) / log_d;
    return MSCOPE_OK;
}
