/* search.c - grids in ln eta and ln eps, then golden sections; per-band searches share one n and bisect on it */
#include "search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double GOLD = 0.6180339887498949;
static const double PAST = 1.3;           /* an oscillation at its dip is at a fifth of its height again by 1.3 n */
enum { OPTIONS = 31, ETA_OPTIONS = 24, EPS_DECADES = 6 };
static const double ETA_STEP = 0.7;

/* -- a table ------------------------------------------------------------------------------------------ */

int mscope_model_add(mscope_model *m, const mscope_risk_band *b, int spread)
{
    if (m->bands >= MSCOPE_SEARCH_BANDS)
        return MSCOPE_ENOMEM;
    size_t from = m->parts;
    m->part[from] = *b;
    m->parts += spread ? (size_t)mscope_risk_octave(b, m->part + from) : 1;
    for (size_t i = from; i < m->parts; i++)
        m->band_of[i] = (int)m->bands;
    m->steepest[m->bands++] = 1;
    return MSCOPE_OK;
}

static void hand_out(const mscope_model *m, const mscope_setting *by_band, mscope_setting *by_part)
{
    for (size_t i = 0; i < m->parts; i++)
        by_part[i] = by_band[m->band_of[i]];
}

double mscope_model_steps(const mscope_model *m, const mscope_setting *by_band, double target, double limit)
{
    mscope_setting all[MSCOPE_SEARCH_PARTS];

    hand_out(m, by_band, all);
    return mscope_risk_steps(m->part, m->parts, all, target, limit);
}

double mscope_model_steepest(const mscope_risk_band *b)
{
    return b->groups > 1 ? 1 : 1 + 2.3 * sqrt(fmin(b->excess[0] / b->h1[0], 1.4));
}

static double part_eta_max(const mscope_model *m, size_t i, double eps)
{
    const double steepest = m->steepest[m->band_of[i]];
    mscope_risk_band b;

    if (!(steepest > 1))
        return mscope_risk_eta_max(&m->part[i], eps);
    b = m->part[i];
    for (int j = 0; j < b.groups; j++)
        b.h1[j] *= steepest;
    return mscope_risk_eta_max(&b, eps);
}

double mscope_model_eta_max(const mscope_model *m, int band, double eps)
{
    double top = INFINITY;

    for (size_t i = 0; i < m->parts; i++)
        if (band < 0 || m->band_of[i] == band)
            top = fmin(top, part_eta_max(m, i, eps));
    return top;
}

/* -- one dimension ------------------------------------------------------------------------------------ */

typedef struct range {
    double low, high;                     /* of ln x */
    int points;
} range;

typedef double (*score)(const void *model, double x, double limit);

/* Least score over x: points of a grid, then golden section around the best. */
static double minimise(const void *model, score f, range r, int rounds, double limit, double *at)
{
    double best = INFINITY, step = r.points > 1 ? (r.high - r.low) / (r.points - 1) : 0, middle = r.high;

    for (int i = 0; i < r.points; i++) {
        double u = r.high - step * i, y = f(model, exp(u), fmin(limit, best));
        if (y < best) {
            best = y;
            middle = u;
        }
    }
    if (!(best < INFINITY))
        return best;
    *at = exp(middle);
    double low = fmax(middle - step, r.low), high = fmin(middle + step, r.high);
    for (int i = 0; i < rounds; i++) {
        double a = high - GOLD * (high - low), b = low + GOLD * (high - low);
        double fa = f(model, exp(a), limit), fb = f(model, exp(b), limit);
        if (fmin(fa, fb) < best) {
            best = fmin(fa, fb);
            *at = exp(fa < fb ? a : b);
        }
        if (fa < fb)
            high = b;
        else
            low = a;
    }
    return best;
}

/* -- one setting for all ------------------------------------------------------------------------------ */

static double steps_single(const mscope_search *s, mscope_setting v, double limit)
{
    mscope_setting all[MSCOPE_SEARCH_PARTS];

    if (!(v.eta <= s->H_max * mscope_model_eta_max(s->model, -1, v.eps) * (1 + 1e-12)))
        return INFINITY;
    for (size_t i = 0; i < s->model->parts; i++)
        all[i] = v;
    double n = mscope_risk_steps(s->model->part, s->model->parts, all, s->target, limit);
    if (!(n < INFINITY) || v.eps >= 1)
        return n;
    return mscope_risk_at(s->model->part, s->model->parts, all, ceil(PAST * n)) <= s->target ? n : INFINITY;
}

typedef struct line {
    const mscope_search *s;
    double fixed;
} line;

static double at_eps(const void *model, double eta, double limit)
{
    const line *l = model;
    return steps_single(l->s, (mscope_setting){ eta, l->fixed }, limit);
}

static double at_eta(const void *model, double eps, double limit)
{
    const line *l = model;
    return steps_single(l->s, (mscope_setting){ l->fixed, eps }, limit);
}

static double eta_line(const mscope_search *s, double eps, int points, int rounds, double limit, double *eta)
{
    line l = { s, eps };
    double top = log(s->H_max * mscope_model_eta_max(s->model, -1, eps));

    return minimise(&l, at_eps, (range){ top - log(3e3), top, points }, rounds, limit, eta);
}

double mscope_search_eta(const mscope_search *s, double eps, mscope_setting *best)
{
    double eta, n = eta_line(s, eps, 36, 20, s->limit, &eta);

    if (n < INFINITY)
        *best = (mscope_setting){ eta, eps };
    return n;
}

double mscope_search_beta(const mscope_search *s, double eta, mscope_setting *best)
{
    line l = { s, eta };
    double eps, n = minimise(&l, at_eta, (range){ -EPS_DECADES * log(10), 0, 61 }, 20, s->limit, &eps);

    if (n < INFINITY)
        *best = (mscope_setting){ eta, eps };
    return n;
}

static double best_of_eps(const void *model, double eps, double limit)
{
    double eta;
    return eta_line(model, eps, 14, 8, limit, &eta);
}

double mscope_search_single(const mscope_search *s, mscope_setting *best)
{
    double eps, eta;
    double n = minimise(s, best_of_eps, (range){ -5 * log(10), 0, 31 }, 10, s->limit, &eps);

    if (!(n < INFINITY))
        return n;
    mscope_setting plain;
    double n_eta = eta_line(s, eps, 28, 16, s->limit, &eta), n_plain = mscope_search_eta(s, 1, &plain);
    *best = n_plain <= n_eta ? plain : (mscope_setting){ eta, eps };
    return fmin(n_plain, n_eta);
}

/* -- a setting for each band -------------------------------------------------------------------------- */

typedef struct menu {
    const mscope_search *s;
    int over_eta;                         /* options differ in eta (eps fixed), or the other way round */
    double fixed;
    int options[MSCOPE_SEARCH_BANDS];
    mscope_setting option[MSCOPE_SEARCH_BANDS][OPTIONS];
    mscope_flow *flow[MSCOPE_SEARCH_PARTS][OPTIONS];
    int pick[MSCOPE_SEARCH_BANDS];
} menu;

/* Risk after n steps, or a little later where it is higher. Above `enough` the value does not matter. */
static double held(mscope_flow *f, double n, double eps, double enough)
{
    double there = mscope_flow_risk(f, n);

    return eps >= 1 || there >= enough ? there : fmax(there, mscope_flow_risk(f, ceil(PAST * n)));
}

/* Risk of one band after n steps under option k, or any value above `enough`; parts of a band are adjacent. */
static double option_risk(menu *m, size_t first, int k, double n, double enough)
{
    const mscope_model *model = m->s->model;
    const int band = model->band_of[first];
    double sum = 0;

    for (size_t i = first; i < model->parts && model->band_of[i] == band && sum < enough; i++) {
        mscope_flow **f = &m->flow[i][k];
        if (*f == NULL && (*f = mscope_flow_open(&model->part[i], m->option[band][k])) == NULL)
            return NAN;
        sum += held(*f, n, m->option[band][k].eps, enough - sum);
    }
    return sum;
}

/* Least risk that the menu allows after n steps, with the picks that reach it. */
static double served(menu *m, double n)
{
    const mscope_model *model = m->s->model;
    double sum = 0;

    for (size_t i = 0; i < model->parts; i++) {
        const int band = model->band_of[i];
        double best = INFINITY;
        if (i > 0 && model->band_of[i - 1] == band)
            continue;
        for (int k = 0; k < m->options[band]; k++) {
            double risk = option_risk(m, i, k, n, best);
            if (risk < best) {
                best = risk;
                m->pick[band] = k;
            }
        }
        sum += best;
        if (sum > m->s->target)           /* the other picks matter only at the end, where sum <= target */
            return sum;
    }
    return sum;
}

static void fill(menu *m)
{
    for (int i = 0; i < (int)m->s->model->bands; i++) {
        if (m->over_eta) {
            double top = m->s->H_max * mscope_model_eta_max(m->s->model, i, m->fixed);
            for (int k = 0; k < ETA_OPTIONS; k++)
                m->option[i][m->options[i]++] = (mscope_setting){ top * pow(ETA_STEP, k), m->fixed };
        } else {
            for (int k = 0; k < OPTIONS; k++) {
                double eps = pow(10, -(double)k * EPS_DECADES / (OPTIONS - 1));
                if (m->fixed <= m->s->H_max * mscope_model_eta_max(m->s->model, i, eps) * (1 + 1e-12))
                    m->option[i][m->options[i]++] = (mscope_setting){ m->fixed, eps };
            }
        }
    }
}

typedef struct tune {
    const menu *m;
    int band;
    double n;
} tune;

static double tuned(const void *at, double x, double limit)
{
    const tune *t = at;
    const mscope_model *model = t->m->s->model;
    mscope_setting s =
        t->m->over_eta ? (mscope_setting){ x, t->m->fixed } : (mscope_setting){ t->m->fixed, fmin(x, 1) };
    double risk = 0;

    (void)limit;
    if (!(s.eta <= t->m->s->H_max * mscope_model_eta_max(model, t->band, s.eps) * (1 + 1e-12)))
        return INFINITY;
    for (size_t i = 0; i < model->parts; i++) {
        if (model->band_of[i] != t->band)
            continue;
        mscope_flow *f = mscope_flow_open(&model->part[i], s);
        risk += f != NULL ? held(f, t->n, s.eps, INFINITY) : INFINITY;
        mscope_flow_close(f);
    }
    return risk;
}

/* Each band's free number between its neighbours on the menu, for that n. */
static void polish(const menu *m, double n, mscope_setting *best)
{
    for (int i = 0; i < (int)m->s->model->bands; i++) {
        tune t = { m, i, n };
        double x = m->over_eta ? best[i].eta : best[i].eps,
               near = m->over_eta ? -log(ETA_STEP) : log(10) * EPS_DECADES / OPTIONS;
        range r = { log(x) - near, fmin(log(x) + near, m->over_eta ? INFINITY : 0), 3 };
        if (minimise(&t, tuned, r, 10, INFINITY, &x) < INFINITY)
            *(m->over_eta ? &best[i].eta : &best[i].eps) = x;
    }
}

static double each(menu *m, int rounds, mscope_setting *best)
{
    const mscope_search *s = m->s;
    const size_t bands = s->model->bands;
    double low = 0, high = 1;

    for (size_t i = 0; i < bands; i++)
        if (m->options[i] == 0)
            return INFINITY;
    while (!(served(m, high) <= s->target)) {
        low = high;
        high *= 2;
        if (low > s->limit)
            return INFINITY;
    }
    while (high - low > fmax(1, (rounds > 0 ? 1e-3 : 1e-2) * high)) {
        double mid = floor(0.5 * (low + high));
        if (served(m, mid) <= s->target)
            high = mid;
        else
            low = mid;
    }
    served(m, high);
    for (size_t i = 0; i < bands; i++)
        best[i] = m->option[i][m->pick[i]];
    double n = mscope_model_steps(s->model, best, s->target, 2 * high);
    for (int round = 0; round < rounds && high > 1; round++) {
        mscope_setting trial[MSCOPE_SEARCH_BANDS];
        memcpy(trial, best, bands * sizeof *trial);
        polish(m, ceil(fmin(n, high)), trial);
        double there = mscope_model_steps(s->model, trial, s->target, 2 * high);
        if (!(there < n))
            break;
        n = there;
        memcpy(best, trial, bands * sizeof *trial);
    }
    return n <= s->limit ? n : INFINITY;
}

static double for_each_band(const mscope_search *s, int over_eta, double fixed, int rounds, mscope_setting *best)
{
    menu *m = calloc(1, sizeof *m);
    mscope_setting found[MSCOPE_SEARCH_BANDS];
    double n;

    if (m == NULL)
        return INFINITY;
    m->s = s;
    m->over_eta = over_eta;
    m->fixed = fixed;
    fill(m);
    n = each(m, rounds, found);
    for (size_t i = 0; i < s->model->parts; i++)
        for (int k = 0; k < OPTIONS; k++)
            mscope_flow_close(m->flow[i][k]);
    free(m);
    if (n < INFINITY)
        memcpy(best, found, s->model->bands * sizeof *best);
    return n;
}

double mscope_search_eta_each(const mscope_search *s, double eps, mscope_setting *best)
{
    return for_each_band(s, 1, eps, 2, best);
}

double mscope_search_beta_each(const mscope_search *s, double eta, mscope_setting *best)
{
    return for_each_band(s, 0, eta, 2, best);
}

static double eta_each_at(const void *model, double eps, double limit)
{
    mscope_search s = *(const mscope_search *)model;
    mscope_setting ignored[MSCOPE_SEARCH_BANDS];

    s.limit = fmin(limit, s.limit);
    return for_each_band(&s, 1, eps, 0, ignored);
}

static double beta_each_at(const void *model, double eta, double limit)
{
    mscope_search s = *(const mscope_search *)model;
    mscope_setting ignored[MSCOPE_SEARCH_BANDS];

    s.limit = fmin(limit, s.limit);
    return for_each_band(&s, 0, eta, 0, ignored);
}

double mscope_search_eta_momentum(const mscope_search *s, mscope_setting *best)
{
    double eps;

    if (!(minimise(s, eta_each_at, (range){ -4 * log(10), log(0.8), 20 }, 6, s->limit, &eps) < INFINITY))
        return INFINITY;
    return for_each_band(s, 1, eps, 2, best);
}

double mscope_search_beta_eta(const mscope_search *s, mscope_setting *best)
{
    /* between what plain SGD and a long momentum allow */
    double eta, low = mscope_model_eta_max(s->model, -1, 1), high = mscope_model_eta_max(s->model, -1, 1e-5);
    range r = { log(s->H_max * fmin(low, high)) - log(100), log(s->H_max * fmax(low, high)), 26 };
    if (!(minimise(s, beta_each_at, r, 8, s->limit, &eta) < INFINITY))
        return INFINITY;
    return for_each_band(s, 0, eta, 2, best);
}
