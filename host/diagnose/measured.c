/* measured.c - telemetry to bands of known curvature */
#include "measured.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SPLIT = 4 };                       /* number of curvatures of an anisotropic row */
static const double WIDEST = 23;          /* j^-1.5 over an octave of eight */
static const double ENOUGH = 0.8;         /* share of the updates that must have curvature        */
static const double HUGE_NUMBER = 1e100;  /* beyond it a run has blown up, and sums would     */
static const double CLEAR = 2;            /* standard errors by which U must stand out            */
static const double FEWEST = 8;           /* row updates behind U before its standard error is one    */
static const double LABEL_SLACK = 2;      /* label noise of a band over that of the nearest known one, at most */
static const double CURVED = 0.3;         /* relative standard error of H1 up to which a band is known */
static const double CALM = 0.8;           /* H of a row by itself whose momentum does not grow, at most */

static int usable(const mscope_rec_band *b)
{
    return b->rows > 0 && b->H1 > 0 && b->H2 >= 0 && b->P > 0 && b->p > 0 && b->p <= 1 && b->eta > 0 && b->eps > 0 &&
           b->batch > 0;
}

static const char *missing(const mscope_rec_band *b)
{
    if (isnan(b->H1))
        return strncmp(b->h_source, "none: ", 6) == 0 ? b->h_source + 6 : "no probe";
    if (isnan(b->H2))
        return "curvature without its square: no probe, only the gradient's own";
    if (!(b->H1 > 0))
        return "curvature along the momentum is not positive";
    return b->rows == 0 ? "no row is in the band now" : "the band does not move";
}

/* What a record says of the error of its rows. */
typedef struct guess {
    double R, se;                         /* of one row; se 0: against a reference; NaN: nothing                 */
    int known;
} guess;

/* theta as it was at attach is no optimum. */
static int is_optimum(const mscope_rec_band *b)
{
    return b->R >= 0 && b->R < HUGE_NUMBER && strncmp(b->r_source, "initial", 7) != 0;
}

static guess error_of(const mscope_rec_band *b, double h1)
{
    const int run = isfinite(b->U_run) && b->U_run_se > 0;
    const double scale = b->p * b->batch * b->p * b->batch / (h1 * h1), U = scale * (run ? b->U_run : b->U),
                 se = scale * (run ? b->U_run_se : b->U_se);

    if (is_optimum(b))
        return (guess){ b->R / (double)b->rows, 0, 1 };
    if (fabs(U) < HUGE_NUMBER && se > 0 && se < HUGE_NUMBER)
        return (guess){ U, se, U > CLEAR * se && (run ? b->U_run_updates : b->U_updates) >= FEWEST };
    return (guess){ NAN, NAN, 0 };
}

/* Bounds of the error of every band, from the frequent ones to the rare; see measured.h. */
static void bound_errors(mscope_measured *m, const guess *g)
{
    double floor = 0, label = NAN;            /* label noise over h1 of the nearest band that tells it, at most */

    for (size_t i = 0; i < m->bands; i++) {
        const double part = m->h1[i] * m->excess[i], all = m->noise_all[i] / part, R = g[i].R, se = g[i].se;
        const double most = isnan(all) ? INFINITY : all;
        if (g[i].known) {
            m->R[i] = R;
            m->R_low[i] = fmax(R - CLEAR * se, 0.25 * R);
            m->R_high[i] = R + CLEAR * se;
            m->label[i] = part * (all - R) > CLEAR * part * se ? part * (all - R) : 0;
            m->label_low[i] = fmax(0, m->label[i] - CLEAR * hypot(part * se, m->part_se[i] * R));
            floor = fmax(floor, m->R_low[i]);
            if (!isnan(all))
                label = part * fmax(all - m->R_low[i], 0) / m->h1[i];
            continue;
        }
        m->R_low[i] = fmin(floor, most);
        if (!isnan(label) && isfinite(most))
            m->R_low[i] = fmax(m->R_low[i], most - LABEL_SLACK * label * m->h1[i] / part);
        m->R_high[i] = fmax(m->R_low[i], isfinite(R) ? fmin(R + CLEAR * se, most) : most);
        if (!isfinite(m->R_high[i]))
            m->R_high[i] = fmax(m->R_low[i], 1);
        m->R[i] = m->R_low[i] > 0 ? sqrt(m->R_low[i] * m->R_high[i]) : m->R_high[i];
        m->label[i] = m->label_low[i] = 0;
    }
}

static enum mscope_error_source source_of(const mscope_measured *m, const guess *g)
{
    enum mscope_error_source from = MSCOPE_ERROR_NONE;

    for (size_t i = 0; i < m->bands; i++)
        if (g[i].known && from != MSCOPE_ERROR_REFERENCE)
            from = g[i].se > 0 ? MSCOPE_ERROR_AGREEMENT : MSCOPE_ERROR_REFERENCE;
    return from;
}

/* One curvature, or four with log-even spacing and the same mean; the noise is split as a Gaussian row splits it,
 * in proportion so that the measured H2 stays what it is for an error spread evenly. */
static void split(mscope_risk_band *b, double spread, double h1, double excess, double R, double noise2)
{
    double mean, square, shared = 0;

    b->groups = spread > 1 ? SPLIT : 1;
    if (b->groups == 1) {
        b->h1[0] = h1;
        b->excess[0] = excess;
        b->noise2[0] = noise2;
        b->R0[0] = R;
        return;
    }
    /* a spread of h raises H2 as noise does: it can be no larger than H2 shows */
    do {
        mean = square = 0;
        for (int j = 0; j < b->groups; j++) {
            b->h1[j] = pow(spread, -(double)j / (b->groups - 1));
            mean += b->h1[j] / b->groups;
        }
        for (int j = 0; j < b->groups; j++) {
            b->h1[j] *= h1 / mean;
            square += b->h1[j] * b->h1[j] / b->groups;
        }
        spread = fmax(1, spread * 0.98);
    } while (square - h1 * h1 > h1 * excess && spread > 1);
    for (int j = 0; j < b->groups; j++) {
        /* all of it as the shared kind: d coordinates, d much larger than 2 */
        b->share[j] = b->h1[j] / b->groups;
        shared += b->share[j];
        b->noise2[j] = noise2 * b->h1[j] / (h1 * b->groups);
        b->R0[j] = R / b->groups;
    }
    /* measured: s2 - h1^2 = h1 excess; of it the spread of h itself is square - h1^2 */
    double noise = fmax(0, h1 * excess - (square - h1 * h1));
    for (int j = 0; j < b->groups; j++)
        b->share[j] *= noise / (shared * h1);
}

static void no_advice(mscope_measured *out, const mscope_rec_band *const *rec, size_t n)
{
    double most = -1;
    const char *why = "no rows moved yet";

    for (size_t i = 0; i < n; i++)
        if (!usable(rec[i]) && (double)rec[i]->updates > most) {
            most = (double)rec[i]->updates;
            why = missing(rec[i]);
        }
    snprintf(out->why, sizeof out->why, "curvature is known for %.0f %% of the updates only: %.120s",
             100 * out->covered, why);
}

/* A row by itself is at most as near to its limit as all that moves together, H_most: eta excess/2 + eta eps h1/(2 (1 +
 * beta)) <= H_most. */
static double cut_back(const mscope_rec_band *b, const mscope_row *row, double H_most)
{
    const double curved = b->eta * b->eps * row->h1 / (2 * (2 - b->eps));

    return fmax(fmin(row->excess, 2 * fmax(H_most - curved, 0.01 * H_most) / b->eta), 1e-9 * row->h1);
}

/* The largest H that a row of this band can have; INFINITY: not known. */
static double most_H(const mscope_rec_band *b, const mscope_margin *margin)
{
    if (margin != NULL && margin->standing != MSCOPE_STANDING_UNKNOWN)
        return margin->H + CLEAR * margin->H_se;
    return isfinite(b->growth) && !b->growing ? CALM : INFINITY;
}

/* One band for the maps, with this error of a row; spread: of curvature within it. */
static mscope_risk_band make(const mscope_measured *m, size_t i, double spread, double R, double label)
{
    mscope_risk_band b = m->band[i];

    split(&b, spread, m->h1[i], m->excess[i], R, fmax(label, 0));
    return b;
}

mscope_risk_band mscope_measured_band(const mscope_measured *m, size_t i, double spread, double excess)
{
    mscope_risk_band b = m->band[i];

    memset(b.share, 0, sizeof b.share);
    memset(b.excess, 0, sizeof b.excess);
    split(&b, spread, m->h1[i], excess, m->R[i], fmax(m->label_low[i], 0));
    return b;
}

static void fill(mscope_measured *m, size_t i, const mscope_rec_band *b, const mscope_measured_options *o)
{
    mscope_risk_band *to = &m->band[i];
    const double part = m->h1[i] * m->excess[i], all = isnan(m->noise_all[i]) ? 0 : m->noise_all[i],
                 low = m->R_low[i], high = m->R_high[i];
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): every band that is taken has its record
    const int octave = b->band < MSCOPE_BANDS - 1;
    mscope_risk_band uneven;

    to->rows = (double)b->rows;
    to->p = b->p;
    to->P = fmin(b->P, 1);
    to->weight = o->by_rows ? to->rows / b->p : to->rows;
    m->activity[i] = o->by_rows ? to->rows : to->rows * to->p;
    uneven = make(m, i, WIDEST, m->R[i], m->label[i]);
    for (int k = 0; k < MSCOPE_CORNERS; k++)
        m->corner[k][i] = make(m, i, k < 2 ? o->spread : WIDEST, k % 2 ? high : low, all - part * (k % 2 ? high : low));
    *to = make(m, i, o->spread, m->R[i], m->label[i]);
    /* both were counted: there are at most as many bands as rooms */
    (void)!mscope_model_add(&m->model, to, octave);
    (void)!mscope_model_add(&m->uneven, &uneven, octave);
    m->model.steepest[i] = mscope_model_steepest(to);
}

/* What the record says of the band by itself. Returns 0 where it cannot be used. */
static int take_band(mscope_measured *m, const mscope_rec_band *b, const mscope_margin *margin, guess *error)
{
    const size_t k = m->bands;
    mscope_row row;

    if (!usable(b) || k == MSCOPE_SEARCH_BANDS ||
        mscope_row_from_probe(fmin(b->P, 1), b->H1, fmax(b->H2, b->H1 * b->H1), b->eps, b->eta, 0, &row) != MSCOPE_OK)
        return 0;
    const double g2 = b->g2_run < HUGE_NUMBER ? b->g2_run : b->g2, U = isfinite(b->U_run) ? b->U_run : b->U;
    *error = error_of(b, row.h1);
    m->number[k] = (unsigned)b->band;
    m->updates[k] = (double)b->updates;
    m->h1[k] = row.h1;
    m->excess_seen[k] = row.excess;
    m->part_se[k] = b->H2_se > 0 ? fmin(b->P, 1) * b->H2_se : 0;
    m->excess[k] = cut_back(b, &row, most_H(b, margin));
    m->noise_all[k] = g2 < HUGE_NUMBER ? b->p * b->batch * g2 : NAN;
    m->noise_scale[k] = error->known && U > 0 ? g2 / (b->p * U) : NAN;
    m->retention[k] = b->retention > 0 ? b->retention / fmin(b->P, 1) : 1 / b->eps;
    m->noise_share[k] = fmax(b->noise_share, 0);
    m->curvature_share[k] = fmax(b->curvature_share, 0);
    m->known[k] = !(b->H1_se > CURVED * b->H1);
    m->growing |= b->growing;
    m->silent &= isnan(U);
    m->now = (mscope_setting){ b->eta, b->eps };
    m->batch = b->batch;
    m->bands++;
    return 1;
}

int mscope_measured_take(const mscope_rec_band *const *rec, size_t n, const mscope_measured_options *o,
                         mscope_measured *out)
{
    double all = 0, with = 0, risk = 0;
    guess error[MSCOPE_SEARCH_BANDS] = { { .known = 0 } };
    const mscope_rec_band *from[MSCOPE_SEARCH_BANDS] = { NULL };

    memset(out, 0, sizeof *out);
    out->silent = 1;
    for (size_t i = 0; i < n; i++) {
        all += (double)rec[i]->updates;
        if (out->bands < MSCOPE_SEARCH_BANDS && take_band(out, rec[i], o->margin, &error[out->bands])) {
            with += (double)rec[i]->updates;
            from[out->bands - 1] = rec[i];
        }
    }
    out->covered = all > 0 ? with / all : 0;
    if (!(out->covered >= ENOUGH)) {
        out->bands = 0;
        no_advice(out, rec, n);
        return 0;
    }
    out->source = source_of(out, error);
    bound_errors(out, error);
    for (size_t i = 0; i < out->bands; i++) {
        if (out->source == MSCOPE_ERROR_NONE) {
            out->R[i] = out->R_low[i] = out->R_high[i] = 1;
            out->noise_all[i] = NAN;
        }
        fill(out, i, from[i], o);
        risk += out->R[i];
    }
    if (!(risk > 0)) {
        snprintf(out->why, sizeof out->why, "the rows are at their reference already");
        out->bands = 0;
    }
    return out->bands > 0;
}
