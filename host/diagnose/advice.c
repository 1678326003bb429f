/* advice.c - all plans searched, compared, and the simplest of the fastest chosen */
#include "advice.h"

#include <math.h>
#include <string.h>

static const double H_MAX = 0.8;          /* no plan puts a band near instability         */
static const double FAR = 1e9;            /* more steps are not worth advising            */
static const double WORTH = 0.97;         /* of the steps now: a smaller gain is no advice */
static const double TIE = 1.03;
static const double PLAIN = 1.1;          /* an eta a band needs no momentum unless it is a tenth faster */

const char *mscope_plan_name(enum mscope_plan_kind kind)
{
    static const char *const names[MSCOPE_PLANS] = {
        "now", "beta alone", "eta alone", "one eta, one beta", "eta a band, no momentum", "eta a band, one beta",
        "beta a band, one eta",
    };
    return (unsigned)kind < MSCOPE_PLANS ? names[kind] : "?";
}

static double largest_H(const mscope_model *m, const mscope_setting *s)
{
    double H = 0;

    for (size_t i = 0; i < m->bands; i++)
        H = fmax(H, s[i].eta / mscope_model_eta_max(m, (int)i, s[i].eps));
    return H;
}

static void everywhere(mscope_plan *p, size_t bands, mscope_setting s)
{
    for (size_t i = 0; i < bands; i++)
        p->setting[i] = s;
}

static double start_risk(const mscope_model *m)
{
    double sum = 0;

    for (size_t i = 0; i < m->parts; i++)
        for (int j = 0; j < m->part[i].groups; j++)
            sum += m->part[i].weight * m->part[i].h1[j] * m->part[i].R0[j];
    return sum;
}

static void search_all(const mscope_search *s, mscope_setting now, mscope_plan *plan)
{
    mscope_setting one = now;

    plan[MSCOPE_PLAN_BETA].steps = mscope_search_beta(s, now.eta, &one);
    everywhere(&plan[MSCOPE_PLAN_BETA], s->model->bands, one);
    one = now;
    plan[MSCOPE_PLAN_ETA].steps = mscope_search_eta(s, now.eps, &one);
    everywhere(&plan[MSCOPE_PLAN_ETA], s->model->bands, one);
    one = now;
    plan[MSCOPE_PLAN_SINGLE].steps = mscope_search_single(s, &one);
    everywhere(&plan[MSCOPE_PLAN_SINGLE], s->model->bands, one);
    plan[MSCOPE_PLAN_ETA_EACH].steps = mscope_search_eta_each(s, 1, plan[MSCOPE_PLAN_ETA_EACH].setting);
    plan[MSCOPE_PLAN_ETA_EACH_MOMENTUM].steps =
        mscope_search_eta_momentum(s, plan[MSCOPE_PLAN_ETA_EACH_MOMENTUM].setting);
    plan[MSCOPE_PLAN_BETA_EACH].steps = mscope_search_beta_eta(s, plan[MSCOPE_PLAN_BETA_EACH].setting);
}

static int wins(const mscope_advice *a, const double *other, int k)
{
    return a->plan[k].steps < WORTH * a->plan[MSCOPE_PLAN_NOW].steps &&
           (other == NULL || other[k] < WORTH * other[MSCOPE_PLAN_NOW]);
}

/* The simplest of the fastest among the plans that win; other: steps under another model, or NULL. */
static void choose(mscope_advice *a, const double *other)
{
    double fastest = INFINITY;

    a->best = MSCOPE_PLAN_NOW;
    for (int k = MSCOPE_PLAN_NOW + 1; k < MSCOPE_PLANS; k++)
        if (wins(a, other, k))
            fastest = fmin(fastest, a->plan[k].steps);
    for (int k = MSCOPE_PLANS - 1; k > MSCOPE_PLAN_NOW; k--)
        if (wins(a, other, k) && a->plan[k].steps <= TIE * fastest)
            a->best = (enum mscope_plan_kind)k;
    if (a->best > MSCOPE_PLAN_ETA_EACH && wins(a, other, MSCOPE_PLAN_ETA_EACH) &&
        a->plan[MSCOPE_PLAN_ETA_EACH].steps <= PLAIN * a->plan[a->best].steps)
        a->best = MSCOPE_PLAN_ETA_EACH;
    a->gain = a->best == MSCOPE_PLAN_NOW ? 1 : a->plan[MSCOPE_PLAN_NOW].steps / a->plan[a->best].steps;
}

void mscope_advise_doubt(const mscope_model *other, mscope_advice *a, double *steps)
{
    for (int k = 0; k < MSCOPE_PLANS; k++)
        steps[k] = k == MSCOPE_PLAN_NOW || a->plan[k].steps < INFINITY
                       ? mscope_model_steps(other, a->plan[k].setting, a->target, FAR)
                       : INFINITY;
    choose(a, steps);
}

int mscope_advise(const mscope_model *m, mscope_setting now, double fraction, mscope_advice *out)
{
    mscope_search s = { .model = m, .limit = FAR, .H_max = H_MAX };

    if (m == NULL || out == NULL || m->bands == 0 || !(now.eta > 0) || !(now.eps > 0 && now.eps <= 1) ||
        !(fraction > 0 && fraction < 1))
        return MSCOPE_EINVAL;
    memset(out, 0, sizeof *out);
    out->bands = m->bands;
    out->risk = start_risk(m);
    out->target = s.target = fraction * out->risk;
    if (!(out->risk > 0) || !isfinite(out->risk))
        return MSCOPE_EINVAL;
    for (int k = 0; k < MSCOPE_PLANS; k++)
        everywhere(&out->plan[k], m->bands, now);
    out->plan[MSCOPE_PLAN_NOW].steps = mscope_model_steps(m, out->plan[MSCOPE_PLAN_NOW].setting, out->target, FAR);
    s.limit = fmin(FAR, out->plan[MSCOPE_PLAN_NOW].steps);
    search_all(&s, now, out->plan);
    for (int k = 0; k < MSCOPE_PLANS; k++)
        out->plan[k].H = largest_H(m, out->plan[k].setting);
    choose(out, NULL);
    return MSCOPE_OK;
}

int mscope_advise_batch(const mscope_model *m, double target, mscope_batch_plan out[MSCOPE_BATCH_PLANS])
{
    mscope_model scaled;
    mscope_search s = { .model = &scaled, .target = target, .limit = FAR, .H_max = H_MAX };
    double fewest = INFINITY;
    int best = -1;

    for (int k = 0; k < MSCOPE_BATCH_PLANS; k++) {
        double factor = ldexp(1, k - MSCOPE_BATCH_PLANS / 2);
        scaled = *m;
        for (size_t i = 0; i < m->parts; i++)
            for (int j = 0; j < m->part[i].groups; j++) {
                scaled.part[i].excess[j] /= factor;
                scaled.part[i].share[j] /= factor;
                scaled.part[i].noise2[j] /= factor;
            }
        out[k] = (mscope_batch_plan){ .factor = factor };
        out[k].steps = mscope_search_single(&s, &out[k].setting);
        out[k].samples = out[k].steps * factor;
        fewest = fmin(fewest, out[k].samples);
    }
    for (int k = 0; k < MSCOPE_BATCH_PLANS; k++)
        if (out[k].samples < INFINITY && out[k].samples <= 1.1 * fewest)
            best = k;
    return best;
}

void mscope_advise_rules(const mscope_model *m, mscope_setting now, double target, mscope_rules *out)
{
    double heavy = now.eta * now.eps, eps = fmin(1, pow(heavy, 2.0 / 3)), h1[MSCOPE_SEARCH_BANDS] = { 0 },
           rows[MSCOPE_SEARCH_BANDS] = { 0 };
    mscope_setting all[MSCOPE_SEARCH_BANDS];

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < m->parts; i++)
        for (int j = 0; j < m->part[i].groups; j++) {
            h1[m->band_of[i]] += m->part[i].rows * m->part[i].h1[j] / m->part[i].groups;
            rows[m->band_of[i]] += m->part[i].rows / m->part[i].groups;
        }
    for (size_t i = 0; i < m->bands; i++) {
        all[i] = (mscope_setting){ heavy / eps, eps };
        out->critical[i] = (mscope_setting){ now.eta, fmin(1, 4 * now.eta * h1[i] / rows[i]) };
    }
    out->two_thirds_eps = eps;
    out->two_thirds_steps = mscope_model_steps(m, all, target, FAR);
    out->critical_steps = mscope_model_steps(m, out->critical, target, FAR);
}
