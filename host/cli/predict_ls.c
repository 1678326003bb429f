/* predict_ls.c - answers about least squares: matrices, stability, clocks, regimes, limits
 *
 * Where a request carries no grid of its own (counts, etas, taus) the grid is derived from the
 * setting: multiples of eta_max, the slow mode's 1.5 e-foldings, four limit times.               */
#include "predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEN(a) ((int)(sizeof(a) / sizeof((a)[0])))

static bool read_ls(mscope_ask *ask, mscope_ls *ls, mscope_row *row, bool with_eta)
{
    mscope_bad why = { NULL, NAN, NULL };

    *ls = (mscope_ls){ .d = mscope_ask_number(ask, "d"),
                       .p = mscope_ask_number(ask, "p"),
                       .batch = mscope_ask_number(ask, "B") };
    if (with_eta)
        ls->eta = mscope_ask_number(ask, "eta");
    if (mscope_ask_has(ask, "noise"))
        ls->noise = mscope_ask_number(ask, "noise");
    if (ask->bad || !mscope_ask_momentum(ask, &ls->eps, &ls->beta))
        return false;
    if (mscope_ls_check(ls, &why) != MSCOPE_OK)
        return mscope_ask_refused(ask, &why);
    if (mscope_row_from_ls(ls, row) != MSCOPE_OK)
        return mscope_ask_refuse(ask, "p", "p B > 0 in double precision", "out of reach");
    return true;
}

static cJSON *json_roots(double root[3][2])
{
    cJSON *array = cJSON_CreateArray();

    for (int i = 0; i < 3; i++)
        cJSON_AddItemToArray(array, mscope_cjson_numbers(root[i], 2));
    return array;
}

static void put_spectrum(cJSON *out, enum mscope_spectrum kind)
{
    if (kind == MSCOPE_SPECTRUM_UNDECIDED)
        cJSON_AddNullToObject(out, "spectral_type");
    else
        cJSON_AddStringToObject(out, "spectral_type",
                                kind == MSCOPE_SPECTRUM_PAIR ? "pair" : "real3");
}

static void put_batch(cJSON *out, const mscope_batch *b)
{
    mscope_cjson_put(out, "P_batch", b->P);
    mscope_cjson_put(out, "Q_batch", b->Q);
    mscope_cjson_put(out, "B1", b->B1);
    mscope_cjson_put(out, "Bdiag", b->Bdiag);
    mscope_cjson_put(out, "Bcross", b->Bcross);
    mscope_cjson_put(out, "B2", b->B2);
    mscope_cjson_put(out, "beta1bar", b->beta1bar);
    mscope_cjson_put(out, "beta2bar", b->beta2bar);
    mscope_cjson_put(out, "one_minus_beta1bar", b->gap1);
    mscope_cjson_put(out, "one_minus_beta2bar", b->gap2);
    mscope_cjson_put(out, "delta_theta", b->s_theta);
    mscope_cjson_put(out, "delta_g", b->s_g);
    mscope_cjson_put(out, "delta2_theta", b->s2_theta);
    mscope_cjson_put(out, "delta2_g", b->s2_g);
    mscope_cjson_put(out, "delta_m1_theta", b->bs_theta);
    mscope_cjson_put(out, "delta_m1_g", b->bs_g);
    mscope_cjson_put(out, "delta_theta_g", b->s_cross);
}

bool mscope_answer_ls_matrix(mscope_ask *ask)
{
    mscope_ls ls;
    mscope_row row = { .eta = 0 };
    mscope_batch b;
    mscope_feedback fb;
    double A[9], G[9], c[3], root[3][2];
    enum mscope_spectrum kind;

    if (!read_ls(ask, &ls, &row, true))
        return false;
    if (mscope_ls_batch(&ls, &b) || mscope_row_drift(&row, A) || mscope_row_step(&row, G) ||
        mscope_row_cubic(&row, c) || mscope_row_spectrum(&row, root, &kind) ||
        mscope_row_feedback(&row, &fb))
        return mscope_ask_refuse(ask, "eta", "maps finite in double precision", "out of reach");
    put_batch(ask->out, &b);
    cJSON_AddItemToObject(ask->out, "A", mscope_cjson_numbers(A, 9));
    cJSON_AddItemToObject(ask->out, "G_minus_I", mscope_cjson_numbers(G, 9));
    cJSON_AddItemToObject(ask->out, "c", mscope_cjson_numbers(c, 3));
    mscope_cjson_put(ask->out, "rho", fb.rho_proxy);
    mscope_cjson_put(ask->out, "retention", 1.0 / fb.rho_proxy);
    mscope_cjson_put(ask->out, "tau", fb.learning);
    mscope_cjson_put(ask->out, "Delta", fb.delta_proxy);
    mscope_cjson_put(ask->out, "eta_max", fb.eta_max);
    cJSON_AddItemToObject(ask->out, "eigenvalues", json_roots(root));
    put_spectrum(ask->out, kind);
    cJSON_AddBoolToObject(ask->out, "stable", row.eta < fb.eta_max);
    return true;
}

static bool stability_row(cJSON *rows, mscope_row row, double eta, double eta_max)
{
    cJSON *out = cJSON_CreateObject();
    double c[3], root[3][2];

    cJSON_AddItemToArray(rows, out);
    row.eta = eta;
    if (mscope_row_cubic(&row, c) || mscope_row_spectrum(&row, root, NULL))
        return false;
    mscope_cjson_put(out, "eta", eta);
    cJSON_AddItemToObject(out, "c", mscope_cjson_numbers(c, 3));
    mscope_cjson_put(out, "c1c2_minus_c3", c[0] * c[1] - c[2]);
    cJSON_AddBoolToObject(out, "stable", eta < eta_max);
    mscope_cjson_put(out, "abscissa", root[0][0]);
    return true;
}

bool mscope_answer_ls_stability(mscope_ask *ask)
{
    static const double share[] = { 0.001, 0.1, 0.5, 0.9, 0.99, 1.01, 1.5 };
    mscope_ls ls;
    mscope_row row;
    mscope_scales scales;
    double top, *etas;
    int n;
    bool ok = true;
    cJSON *rows;

    if (!read_ls(ask, &ls, &row, false) || (n = mscope_ask_grid(ask, "etas", &etas)) < 0)
        return false;
    if (mscope_row_eta_max(&row, &top) || mscope_row_scales(&row, &scales)) {
        free(etas);
        return false;
    }
    mscope_cjson_put(ask->out, "eta_max", top);
    cJSON_AddStringToObject(ask->out, "first_crossing", "c3");
    mscope_cjson_put(ask->out, "ceiling_B1_over_B2", scales.noise);
    mscope_cjson_put(ask->out, "ceiling_rho_over_B1", scales.correlation);
    cJSON_AddStringToObject(ask->out, "smaller_ceiling",
                            scales.noise <= scales.correlation ? "noise" : "correlation");
    rows = cJSON_AddArrayToObject(ask->out, "rows");
    for (int i = 0; ok && i < (n ? n : LEN(share)); i++)
        ok = stability_row(rows, row, n ? etas[i] : share[i] * top, top);
    free(etas);
    return ok || mscope_ask_refuse(ask, "etas", "maps finite in double precision", "out of reach");
}

/* rows at a tenth, a third and the whole of the 1.5 e-foldings of the slow mode */
static int default_counts(const mscope_row *row, double *counts)
{
    double root[3][2], last = 1.0;

    if (mscope_row_spectrum(row, root, NULL) == MSCOPE_OK && root[0][0] != 0.0)
        last = fmin(fmax(floor(1.5 / fabs(root[0][0])), 1.0), 1e15);
    counts[0] = fmax(floor(last / 10.0), 1.0);
    counts[1] = fmax(floor(last / 3.0), 1.0);
    counts[2] = last;
    return 3;
}

static bool clocks_row(cJSON *rows, const mscope_row *row, double count, const double x0[3])
{
    static const struct {
        const char *field;
        enum mscope_clock clock;
    } clocks[] = { { "active_k", MSCOPE_CLOCK_ACTIVE },
                   { "ode_t", MSCOPE_CLOCK_ODE },
                   { "global_n", MSCOPE_CLOCK_STEP },
                   { "snapshot_n", MSCOPE_CLOCK_STORED } };
    cJSON *out = cJSON_CreateObject();

    cJSON_AddItemToArray(rows, out);
    mscope_cjson_put(out, "count", count);
    for (int i = 0; i < LEN(clocks); i++) {
        double x[3] = { x0[0], x0[1], x0[2] };
        if (mscope_row_advance(row, clocks[i].clock, count, x) != MSCOPE_OK)
            return false;
        cJSON_AddItemToObject(out, clocks[i].field, mscope_cjson_numbers(x, 3));
    }
    return true;
}

bool mscope_answer_ls_clocks(mscope_ask *ask)
{
    mscope_ls ls;
    mscope_row row;
    double x0[3], derived[3], *counts;
    int n;
    bool ok = true;
    cJSON *rows;

    if (!read_ls(ask, &ls, &row, true) || !mscope_ask_vector(ask, "x0", x0, 3))
        return false;
    if (!(x0[0] >= 0.0 && x0[1] >= 0.0))
        return mscope_ask_refuse(ask, "x0", "R >= 0 and V >= 0", "value outside its range");
    n = mscope_ask_grid(ask, "counts", &counts);
    if (n < 0)
        return false;
    if (n == 0)
        n = default_counts(&row, derived);
    rows = cJSON_AddArrayToObject(ask->out, "rows");
    for (int i = 0; ok && i < n; i++)
        ok = clocks_row(rows, &row, counts ? counts[i] : derived[i], x0);
    free(counts);
    return ok || mscope_ask_refuse(ask, "counts", "whole numbers, at most 2^53",
                                   "value outside its range");
}

static bool read_exponents(mscope_ask *ask, mscope_exponents *e)
{
    mscope_bad why = { NULL, NAN, NULL };

    *e = (mscope_exponents){ mscope_ask_number(ask, "kappa"), mscope_ask_number(ask, "sigma"),
                             mscope_ask_number(ask, "gamma"), 0.0 };
    if (mscope_ask_has(ask, "tol"))
        e->tol = mscope_ask_number(ask, "tol");
    if (ask->bad)
        return false;
    return mscope_exponents_check(e, &why) == MSCOPE_OK || mscope_ask_refused(ask, &why);
}

static bool read_prefactors(mscope_ask *ask, mscope_prefactors *f)
{
    static const char *const names[] = { "p_star", "B_star", "eps_star", "eta_star" };
    double x[4];

    for (int i = 0; i < 4; i++) {
        x[i] = mscope_ask_number(ask, names[i]);
        if (!ask->bad && !(x[i] > 0.0))
            mscope_ask_refuse(ask, names[i], "a finite number > 0", "value outside its range");
    }
    *f = (mscope_prefactors){ x[0], x[1], x[2], x[3] };
    return !ask->bad;
}

static bool classify(mscope_ask *ask, const mscope_exponents *e)
{
    mscope_atlas a;

    if (mscope_classify(e, &a) != MSCOPE_OK)
        return false;
    cJSON_AddStringToObject(ask->out, "batch", a.batch_name);
    cJSON_AddStringToObject(ask->out, "phase", a.phase_name);
    cJSON_AddStringToObject(ask->out, "regime", a.regime);
    cJSON_AddStringToObject(ask->out, "region", a.region);
    cJSON_AddStringToObject(ask->out, "limit", a.limit);
    mscope_cjson_put(ask->out, "alpha", a.alpha);
    mscope_cjson_put(ask->out, "kappa_eff", a.kappa_eff);
    mscope_cjson_put(ask->out, "nu", a.nu);
    mscope_cjson_put(ask->out, "retention_exp", a.retention_exp);
    mscope_cjson_put(ask->out, "learning_exp", a.learning_exp);
    cJSON_AddStringToObject(ask->out, "lr_region", a.lr_region);
    return true;
}

static bool put_exponents(cJSON *out, const char *field, const mscope_ls *ls,
                          const mscope_prefactors *f)
{
    static const char *const names[] = { "kappa", "sigma", "gamma", "alpha" };
    cJSON *object = cJSON_AddObjectToObject(out, field);
    double x[4];

    if (mscope_exponents_of(ls, f, x) != MSCOPE_OK)
        return false;
    for (int i = 0; i < 4; i++)
        mscope_cjson_put(object, names[i], x[i]);
    return true;
}

static bool coscale(mscope_ask *ask, const mscope_exponents *e)
{
    static const mscope_prefactors unit = { 1.0, 1.0, 1.0, 1.0 };
    mscope_bad why = { NULL, NAN, NULL };
    mscope_prefactors f;
    mscope_atlas a;
    mscope_ls ls;
    double d = mscope_ask_number(ask, "d");

    if (!read_prefactors(ask, &f))
        return false;
    if (!(d > 1.0))
        return mscope_ask_refuse(ask, "d", "d > 1, finite", "value outside its range");
    if (mscope_coscale(e, &f, d, &ls, &why) != MSCOPE_OK)
        return mscope_ask_refused(ask, &why);
    if (mscope_classify(e, &a) != MSCOPE_OK)
        return false;
    mscope_cjson_put(ask->out, "alpha", a.alpha);
    mscope_cjson_put(ask->out, "p", ls.p);
    mscope_cjson_put(ask->out, "B", ls.batch);
    mscope_cjson_put(ask->out, "eps", ls.eps);
    mscope_cjson_put(ask->out, "eta", ls.eta);
    return put_exponents(ask->out, "unit_exponents", &ls, &unit) &&
           put_exponents(ask->out, "given_prefactor_exponents", &ls, &f);
}

bool mscope_answer_ls_regimes(mscope_ask *ask)
{
    mscope_exponents e;

    if (ask->op == NULL || (strcmp(ask->op, "classify") != 0 && strcmp(ask->op, "coscale") != 0))
        return mscope_ask_refuse(ask, "op", "classify or coscale", "missing or unknown");
    if (!read_exponents(ask, &e))
        return false;
    return ask->op[1] == 'l' ? classify(ask, &e) : coscale(ask, &e);
}

/* what the exact ODE gives at a large finite d, beside the limit */
static void put_finite_d(mscope_ask *ask, const mscope_exponents *e, const mscope_prefactors *f,
                         double clock)
{
    double d = mscope_ask_has(ask, "d") ? mscope_ask_number(ask, "d") : 1e8;
    double x[3] = { 1.0, 0.0, 0.0 };
    mscope_row row;
    mscope_ls ls;
    cJSON *out;

    if (ask->bad || mscope_coscale(e, f, d, &ls, NULL) || mscope_row_from_ls(&ls, &row) ||
        mscope_row_advance(&row, MSCOPE_CLOCK_ODE, pow(d, clock), x)) {
        cJSON_AddNullToObject(ask->out, "finite_d_check");
        return;
    }
    out = cJSON_AddObjectToObject(ask->out, "finite_d_check");
    mscope_cjson_put(out, "d", d);
    mscope_cjson_put(out, "tau", 1.0);
    mscope_cjson_put(out, "R", x[0]);
    mscope_cjson_put(out, "V_over_p2", x[1] / (ls.p * ls.p));
    mscope_cjson_put(out, "C_over_p", x[2] / ls.p);
}

static void put_limit(cJSON *out, mscope_limit *l)
{
    if (l->dim == 1) {
        mscope_cjson_put(out, "c_eff", l->c_eff);
        mscope_cjson_put(out, "eta_eff", l->eta_eff);
        return;
    }
    mscope_cjson_put(out, "rho_star", l->rho);
    mscope_cjson_put(out, "etabar", l->etabar);
    mscope_cjson_put(out, "xi_star", l->xi);
    mscope_cjson_put(out, "zeta", l->zeta);
    cJSON_AddItemToObject(out, "M", mscope_cjson_numbers(l->M, 9));
    cJSON_AddItemToObject(out, "mu_cubic", mscope_cjson_numbers(l->cubic, 3));
    mscope_cjson_put(out, "mu_discriminant", l->discriminant);
    put_spectrum(out, l->spectrum);
    cJSON_AddItemToObject(out, "mu_roots", json_roots(l->root));
    cJSON_AddBoolToObject(out, "oscillates_2d", l->oscillates);
}

bool mscope_answer_ls_limit(mscope_ask *ask)
{
    static const double derived[] = { 0.5, 1.0, 2.0, 5.0 };
    mscope_exponents e;
    mscope_prefactors f;
    mscope_limit l;
    double *taus;
    int n;
    cJSON *rows;

    if (!read_exponents(ask, &e) || !read_prefactors(ask, &f))
        return false;
    if (mscope_limit_of(&e, &f, &l) != MSCOPE_OK)
        return mscope_ask_refuse(ask, "p_star", "p_star <= 1 where kappa = 0", "no such limit");
    n = mscope_ask_grid(ask, "taus", &taus);
    if (n < 0)
        return false;
    cJSON_AddStringToObject(ask->out, "regime", l.atlas.regime);
    cJSON_AddStringToObject(ask->out, "limit", l.atlas.limit);
    if (l.dim > 0) {
        mscope_cjson_put(ask->out, "clock_exp", l.atlas.clock);
        put_limit(ask->out, &l);
        rows = cJSON_AddArrayToObject(ask->out, l.dim == 1 ? "R" : "RVC_balanced");
        for (int i = 0; i < (n ? n : LEN(derived)); i++) {
            double x[4] = { n ? taus[i] : derived[i], 1.0, 0.0, 0.0 };
            if (mscope_limit_at(&l, x[0], x + 1) == MSCOPE_OK)
                cJSON_AddItemToArray(rows, mscope_cjson_numbers(x, l.dim == 1 ? 2 : 4));
        }
        put_finite_d(ask, &e, &f, l.atlas.clock);
    }
    free(taus);
    return !ask->bad;
}
