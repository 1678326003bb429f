/* stage.c - see stage.h */
#include "stage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FACTORS = 9, HALF = FACTORS / 2, MOMENTA = 5, TIMES = 2 };    /* 1/2 .. 2; of eta, of eps */

static const double H_AIM = 0.5, H_ODDS = 0.05, H_FREE = 0.25, H_CLOSE = 0.9;
static const double COARSE = 0.2, COARSE_ODDS = 0.9;     /* standard error of H; odds of H > .8 that it needs then */
static const double WORTH = 0.97, TIE = 1.03, FAR_WORSE = 2;
static const double SMOOTH = 2, RETENTIONS = 8, HEAVY = 0.1, LONGEST = 1e7;

/* Excess of every band after half a stage and a whole one, for each factor, in each corner, under one eps. */
typedef struct yield {
    double eps;
    double at[MSCOPE_CORNERS][MSCOPE_SEARCH_BANDS][FACTORS][TIMES];
} yield;

static double factor(int k)
{
    return exp2((double)(k - HALF) / HALF);
}

/* -- how near to the limit ------------------------------------------------------------------------------- */

/* Part of H after the move over the part now. What the table does not hold moves with one eta for all, and else as far
 * up as the band that moves most. */
static double share_of(const double *share, const mscope_setting *s, const mscope_measured *m)
{
    double sum = 0, held = 0, largest = 0, least = INFINITY;

    for (size_t i = 0; i < m->bands; i++) {
        const double f = s[i].eta / m->now.eta;
        sum += share[i] * f;
        held += share[i];
        largest = fmax(largest, f);
        least = fmin(least, f);
    }
    if (least < largest)
        largest = fmax(largest, 1);
    return (sum + fmax(1 - held, 0) * largest) / fmax(held, 1);
}

/* The record as it would be there. */
static mscope_rec_stability record_at(const mscope_measured *m, const mscope_margin *margin, const mscope_setting *s)
{
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a set of bands has one at least
    const double eps = m->now.eps, g = s[0].eps / (2 - s[0].eps) / (eps / (2 - eps));
    const double noise = margin->H * margin->noise_part * share_of(m->noise_share, s, m),
                 curved = margin->H * (1 - margin->noise_part) * g * share_of(m->curvature_share, s, m);

    return (mscope_rec_stability){ .H = noise + curved, .H_se = margin->H_se * (noise + curved) / margin->H,
                                   .noise_part = noise / (noise + curved), .eta = s[0].eta, .eps = s[0].eps };
}

static int have(const mscope_margin *margin)
{
    return margin != NULL && margin->standing != MSCOPE_STANDING_UNKNOWN && margin->H > 0;
}

double mscope_stage_H(const mscope_measured *m, const mscope_margin *margin, const mscope_setting *s)
{
    return have(margin) ? record_at(m, margin, s).H : NAN;
}

/* Is every row by itself, in its steepest direction, at most this near to its limit? s NULL: the present setting. */
static int rows_below(const mscope_measured *m, const mscope_setting *s, double H)
{
    for (size_t i = 0; i < m->bands; i++) {
        const mscope_setting x = s != NULL ? s[i] : m->now;
        if (x.eta > H * mscope_model_eta_max(&m->model, (int)i, x.eps))
            return 0;
    }
    return 1;
}

static int safe(const mscope_measured *m, const mscope_margin *margin, const mscope_setting *s)
{
    if (have(margin)) {
        const mscope_rec_stability r = record_at(m, margin, s);
        mscope_margin then;
        if (r.H <= 0.5 * margin->H)
            return 1;
        mscope_margin_of(&r, NULL, 0, NULL, &then);
        return r.H <= H_AIM && then.close < H_ODDS;
    }
    for (size_t i = 0; i < m->bands; i++)
        if (s[i].eta > m->now.eta || s[i].eps > m->now.eps)
            return rows_below(m, NULL, H_FREE) && rows_below(m, s, H_AIM);
    return 1;
}

/* -- what a setting brings ----------------------------------------------------------------------------------- */

static double excess_of(const mscope_risk_band *b)
{
    double sum = 0;

    for (int j = 0; j < b->groups; j++)
        sum += b->weight * b->h1[j] * b->R0[j];
    return sum;
}

/* with_learning: until the band with the most excess has learnt, too. */
static double length_of(const mscope_measured *m, int with_learning)
{
    double all = 0, most = 0, n = 1, learning = 1;

    for (size_t i = 0; i < m->bands; i++)
        all += excess_of(&m->band[i]);
    for (size_t i = 0; i < m->bands; i++) {
        const double x = excess_of(&m->band[i]);
        if (x >= HEAVY * all)
            n = fmax(n, RETENTIONS * m->retention[i]);
        if (x > most && with_learning)
            learning = 1 / (m->now.eta * m->h1[i]);
        most = fmax(most, x);
    }
    return fmin(ceil(fmax(n, learning)), LONGEST);
}

static int fill(const mscope_measured *m, double eps, double steps, yield *y)
{
    y->eps = eps;
    for (int c = 0; c < MSCOPE_CORNERS; c++)
        for (size_t i = 0; i < m->bands; i++)
            for (int k = 0; k < FACTORS; k++) {
                mscope_flow *f = mscope_flow_open(&m->corner[c][i], (mscope_setting){ m->now.eta * factor(k), eps });
                if (f == NULL)
                    return 0;
                for (int t = 0; t < TIMES; t++)
                    y->at[c][i][k][t] = mscope_flow_risk(f, ceil(steps / (TIMES - t)));
                mscope_flow_close(f);
            }
    return 1;
}

/* The largest ratio to what staying gives, of one band over the corners and times. */
static double band_ratio(const yield *y, const yield *stay, size_t i, int k)
{
    double worst = 0;

    for (int c = 0; c < MSCOPE_CORNERS; c++)
        for (int t = 0; t < TIMES; t++) {
            const double x = y->at[c][i][k][t], now = stay->at[c][i][HALF][t];
            worst = fmax(worst, now > 0 && x < INFINITY ? x / now : x > 0 ? INFINITY : 1);
        }
    return worst;
}

/* Sum over the bands of the most by which excess can exceed `share` of what staying gives, each in its worst corner. */
static double beyond(const mscope_measured *m, const yield *y, const yield *stay, const int *pick, int t, double share)
{
    double sum = 0;

    for (size_t i = 0; i < m->bands; i++) {
        double worst = -INFINITY;
        for (int c = 0; c < MSCOPE_CORNERS; c++)
            worst = fmax(worst, y->at[c][i][pick[i]][t] - share * stay->at[c][i][HALF][t]);
        sum += worst;
    }
    return sum;
}

/* The largest ratio of the table's excess to what staying gives at the end of the stage, whatever corner each band is
 * in. FAR_WORSE: that or more, or the table may lose by the middle of it. */
static double table_ratio(const mscope_measured *m, const yield *y, const yield *stay, const int *pick)
{
    double low = 0, high = FAR_WORSE;

    if (!(beyond(m, y, stay, pick, 0, 1) <= 0 && beyond(m, y, stay, pick, 1, high) <= 0))
        return FAR_WORSE;
    for (int k = 0; k < 24; k++) {
        const double mid = 0.5 * (low + high);
        if (beyond(m, y, stay, pick, 1, mid) <= 0)
            high = mid;
        else
            low = mid;
    }
    return high;
}

/* -- candidates --------------------------------------------------------------------------------------------- */

typedef struct candidate {
    enum mscope_plan_kind kind;
    double eps, ratio;
    int pick[MSCOPE_SEARCH_BANDS];
} candidate;

static void settings(const mscope_measured *m, const candidate *c, mscope_setting *s)
{
    for (size_t i = 0; i < m->bands; i++)
        s[i] = (mscope_setting){ m->now.eta * factor(c->pick[i]), c->eps };
}

static int is_safe(const mscope_measured *m, const mscope_margin *margin, const candidate *c)
{
    mscope_setting s[MSCOPE_SEARCH_BANDS];

    settings(m, c, s);
    return safe(m, margin, s);
}

/* Neighbours within a factor of two: the one farther from the present setting gives way. */
static void smooth(const mscope_measured *m, int *pick)
{
    const int step = (int)(HALF * log2(SMOOTH));

    for (int again = 1; again;) {
        again = 0;
        for (size_t i = 0; i + 1 < m->bands; i++) {
            int *a = &pick[i], *b = &pick[i + 1];
            while (*a - *b > step || *b - *a > step) {
                int *far = (*a > HALF ? *a - HALF : HALF - *a) > (*b > HALF ? *b - HALF : HALF - *b) ? a : b;
                *far += *far > HALF ? -1 : 1;
                again = 1;
            }
        }
    }
}

static void best_for_each(const mscope_measured *m, const yield *y, const yield *stay, candidate *c)
{
    for (size_t i = 0; i < m->bands; i++) {
        double best = band_ratio(y, stay, i, HALF);
        c->pick[i] = HALF;
        for (int k = 0; k < FACTORS && m->known[i]; k++) {
            const double x = band_ratio(y, stay, i, k);
            if (x < best) {
                best = x;
                c->pick[i] = k;
            }
        }
    }
    smooth(m, c->pick);
}

/* Lowered to what is safe, all bands alike. */
static int made_safe(const mscope_measured *m, const mscope_margin *margin, candidate *c)
{
    for (int cap = FACTORS - 1; cap >= 0; cap--) {
        for (size_t i = 0; i < m->bands; i++)
            c->pick[i] = c->pick[i] < cap ? c->pick[i] : cap;
        if (is_safe(m, margin, c))
            return 1;
    }
    return 0;
}

typedef struct found {
    candidate best, single;              /* of all; of those with one eta and one beta. kind PLANS: none */
} found;

static void keep(const candidate *x, candidate *best)
{
    if (x->ratio < WORTH && (x->ratio * TIE < best->ratio || (x->kind < best->kind && x->ratio < best->ratio * TIE)))
        *best = *x;
}

static void consider(const mscope_measured *m, const yield *y, const yield *stay, candidate *x, found *to)
{
    x->ratio = table_ratio(m, y, stay, x->pick);
    keep(x, &to->best);
    if (x->kind <= MSCOPE_PLAN_SINGLE)
        keep(x, &to->single);
}

/* Every candidate under one eps. */
static void search(const mscope_measured *m, const mscope_margin *margin, const yield *y, const yield *stay,
                   found *to)
{
    const int same = y == stay;
    candidate x = { .eps = y->eps };

    for (int k = 0; k < FACTORS; k++) {
        x.kind = same ? MSCOPE_PLAN_ETA : k == HALF ? MSCOPE_PLAN_BETA : MSCOPE_PLAN_SINGLE;
        for (size_t i = 0; i < m->bands; i++)
            x.pick[i] = k;
        if (is_safe(m, margin, &x))
            consider(m, y, stay, &x, to);
    }
    x.kind = y->eps >= 1 ? MSCOPE_PLAN_ETA_EACH : MSCOPE_PLAN_ETA_EACH_MOMENTUM;
    best_for_each(m, y, stay, &x);
    if (made_safe(m, margin, &x))
        consider(m, y, stay, &x, to);
}

/* -- the answer ---------------------------------------------------------------------------------------------- */

static void stay_here(const mscope_measured *m, mscope_stage *out, const char *why)
{
    out->kind = MSCOPE_PLAN_NOW;
    out->gain = 1;
    out->left_then = out->left_now;
    for (size_t i = 0; i < m->bands; i++)
        out->setting[i] = m->now;
    snprintf(out->why, sizeof out->why, "%s", why);
}

/* The largest H of a row by itself, as measured. */
static double nearest_row(const mscope_measured *m)
{
    double H = 0;

    for (size_t i = 0; i < m->bands; i++)
        H = fmax(H, m->now.eta / mscope_risk_eta_max(&m->band[i], m->now.eps));
    return H;
}

/* Near instability eta goes down, and it is not asked what that gains. */
static int rescue(const mscope_measured *m, const mscope_margin *margin, mscope_stage *out)
{
    candidate x = { .kind = MSCOPE_PLAN_ETA, .eps = m->now.eps };
    const int told = have(margin), alone = !told && nearest_row(m) > H_CLOSE;

    if (!alone && (!told || margin->standing == MSCOPE_STANDING_STABLE || margin->doubted ||
                   (margin->H_se > COARSE * margin->H && margin->close < COARSE_ODDS && !m->growing)))
        return 0;
    for (size_t i = 0; i < m->bands; i++)
        x.pick[i] = alone ? 0 : HALF;
    if (told && !made_safe(m, margin, &x))
        return 0;
    out->kind = x.kind;
    out->rescue = 1;
    out->steps = length_of(m, 0);
    settings(m, &x, out->setting);
    snprintf(out->why, sizeof out->why, "%.180s",
             told ? margin->why : "rows by themselves are near their limit or above");
    return 1;
}

/* Excess loss at the end of the stage over that of now, under these settings. */
static double left_of(const mscope_model *model, const mscope_setting *by_band, double steps)
{
    mscope_setting part[MSCOPE_SEARCH_PARTS];
    double start = 0;

    for (size_t i = 0; i < model->parts; i++) {
        start += excess_of(&model->part[i]);
        part[i] = by_band[model->band_of[i]];
    }
    return mscope_risk_at(model->part, model->parts, part, steps) / start;
}

/* By the best guesses of error and noise, with the octave that each band covers. Of the two readings of H2 the one that
 * gains less counts: most rows lie between. */
static void promise(const mscope_measured *m, mscope_stage *out)
{
    const mscope_model *const reading[] = { &m->model, &m->uneven };
    mscope_setting now[MSCOPE_SEARCH_BANDS];
    double least = INFINITY;

    for (size_t i = 0; i < m->bands; i++)
        now[i] = m->now;
    for (int k = 0; k < 2; k++) {
        const mscope_model *model = reading[k];
        const double left = left_of(model, now, out->steps), then = left_of(model, out->setting, out->steps);
        double start = 0;
        for (size_t i = 0; i < model->parts; i++)
            start += excess_of(&model->part[i]);
        const double n = left < 1 ? mscope_model_steps(model, now, left * start, 2 * out->steps) : NAN,
                     gain = n / mscope_model_steps(model, out->setting, left * start, 2 * out->steps);
        if (k > 0 && !((isnan(gain) ? left / then : gain) < least))
            continue;
        least = isnan(gain) ? left / then : gain;
        out->gain = gain;
        out->left_now = left;
        out->left_then = then;
    }
}

static const char *why_not_known(const mscope_measured *m)
{
    return m->silent ? "nothing tells how far rows are from their optimum: send the single gradients of rows that "
                       "occur twice in a batch (torch: sparse=True)"
                     : "nothing tells how far rows are from their optimum: gradients do not agree beyond chance";
}

static const char *why_stay(const mscope_measured *m, const mscope_margin *margin)
{
    if (m->growing)
        return "the momentum of a band grows; see whether that ends";
    if (have(margin) && margin->H > H_AIM)
        return "eta is more than half of its limit already, and a lower one would be slower";
    if (!have(margin) && !rows_below(m, NULL, H_FREE))
        return "how near to its limit this is, is not known well enough to raise eta, and a lower one may be slower";
    return "no setting within a factor of two is better whatever the errors and label noise are that the records allow";
}

static void choose(const mscope_measured *m, const mscope_margin *margin, mscope_stage *out)
{
    static const double momentum[MOMENTA] = { 1, 0.5, 0.70710678118654752, 1.4142135623730951, 2 };
    yield stay, y;
    const candidate none = { .kind = MSCOPE_PLANS, .ratio = INFINITY };
    found to = { none, none };

    if (!fill(m, m->now.eps, out->steps, &stay)) {
        stay_here(m, out, "out of memory");
        return;
    }
    search(m, margin, &stay, &stay, &to);
    for (int k = 1; k < MOMENTA; k++) {
        const double eps = fmin(1, m->now.eps * momentum[k]);
        if (eps / m->now.eps > 1.1 || eps < m->now.eps)
            if (fill(m, eps, out->steps, &y))
                search(m, margin, &y, &stay, &to);
    }
    if (to.best.kind == MSCOPE_PLANS) {
        stay_here(m, out, why_stay(m, margin));
        return;
    }
    out->kind = to.best.kind;
    out->worst = to.best.ratio;
    settings(m, &to.best, out->setting);
    if (to.single.kind != MSCOPE_PLANS) {
        mscope_setting s[MSCOPE_SEARCH_BANDS];
        settings(m, &to.single, s);
        out->single = s[0];
        out->single_worst = to.single.ratio;
    }
    promise(m, out);
    if (!(out->left_then < WORTH * out->left_now) && !(out->gain > 1 / WORTH))
        stay_here(m, out, why_stay(m, margin));
}

void mscope_stage_of(const mscope_measured *m, const mscope_margin *margin, mscope_stage *out)
{
    memset(out, 0, sizeof *out);
    out->steps = length_of(m, 1);
    out->worst = 1;
    out->gain = out->left_now = out->left_then = NAN;
    if (!rescue(m, margin, out)) {
        if (m->source == MSCOPE_ERROR_NONE)
            stay_here(m, out, why_not_known(m));
        else if (m->growing)
            stay_here(m, out, why_stay(m, margin));
        else if (margin != NULL && !have(margin))
            stay_here(m, out, "the probe does not know the curvature of what moves together, as near a saddle or in "
                              "the first probes: what one row needs may not be what all need");
        else
            choose(m, margin, out);
    }
    if (out->kind == MSCOPE_PLAN_NOW && m->source != MSCOPE_ERROR_NONE)
        promise(m, out);
    out->H_now = have(margin) ? margin->H : NAN;
    out->H_then = mscope_stage_H(m, margin, out->setting);
}
