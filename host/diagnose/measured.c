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
    return "the band does not move";
}

typedef struct guess {
    double R, se;                         /* of one row; se 0: against a reference; R NaN: nothing known */
} guess;

static guess error_of(const mscope_rec_band *b, double h1)
{
    double scale = b->p * b->batch * b->p * b->batch / (h1 * h1);

    if (b->R >= 0 && b->R < HUGE_NUMBER)
        return (guess){ b->R / (double)b->rows, 0 };
    if (fabs(scale * b->U) < HUGE_NUMBER && b->U_se > 0 && scale * b->U_se < HUGE_NUMBER)
        return (guess){ scale * b->U, scale * b->U_se };
    return (guess){ NAN, NAN };
}

/* The error of bands that have none of their own, and its source. */
static enum mscope_error_source pool(const guess *g, const double *updates, size_t n, double *R)
{
    double sum = 0, weight = 0, with = 0, total = 0;

    for (size_t i = 0; i < n; i++) {
        if (g[i].se > 0) {
            sum += g[i].R / (g[i].se * g[i].se);
            weight += 1 / (g[i].se * g[i].se);
        } else if (isfinite(g[i].R)) {
            with += updates[i] * g[i].R;
            total += updates[i];
        }
    }
    if (total > 0) {
        *R = with / total;
        return MSCOPE_ERROR_REFERENCE;
    }
    *R = 1;
    if (!(weight > 0))
        return MSCOPE_ERROR_NONE;
    double mean = sum / weight, se = 1 / sqrt(weight);
    *R = mean > CLEAR * se ? mean : fmax(0, mean) + CLEAR * se;
    return mean > CLEAR * se ? MSCOPE_ERROR_AGREEMENT : MSCOPE_ERROR_BOUND;
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

static void fill(mscope_measured *out, size_t i, const mscope_rec_band *b, const mscope_row *row, double R,
                 const mscope_measured_options *o, mscope_risk_band *uneven)
{
    mscope_risk_band *to = &out->band[i];
    double label = out->noise_all[i] - row->h1 * row->excess * R;

    to->rows = (double)b->rows;
    to->p = b->p;
    to->P = fmin(b->P, 1);
    to->weight = o->by_rows ? to->rows / b->p : to->rows;
    label = out->source != MSCOPE_ERROR_NONE && label > 0 ? label : 0;
    *uneven = *to;
    split(to, o->spread, row->h1, row->excess, R, label);
    split(uneven, WIDEST, row->h1, row->excess, R, label);
    out->activity[i] = o->by_rows ? to->rows : to->rows * to->p;
}

int mscope_measured_take(const mscope_rec_band *const *rec, size_t n, const mscope_measured_options *o,
                         mscope_measured *out)
{
    double all = 0, with = 0, shared, risk = 0;
    mscope_row row[MSCOPE_SEARCH_BANDS];
    guess error[MSCOPE_SEARCH_BANDS];
    const mscope_rec_band *from[MSCOPE_SEARCH_BANDS];

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        const mscope_rec_band *b = rec[i];
        size_t k = out->bands;
        all += (double)b->updates;
        if (!usable(b) || k == MSCOPE_SEARCH_BANDS ||
            mscope_row_from_probe(fmin(b->P, 1), b->H1, fmax(b->H2, b->H1 * b->H1), b->eps, b->eta, 0, &row[k]) !=
                MSCOPE_OK)
            continue;
        with += (double)b->updates;
        error[k] = error_of(b, row[k].h1);
        out->number[k] = (unsigned)b->band;
        out->updates[k] = (double)b->updates;
        out->h1[k] = row[k].h1;
        out->excess[k] = row[k].excess;
        out->noise_all[k] = b->g2 < HUGE_NUMBER ? b->p * b->batch * b->g2 : NAN;
        out->now = (mscope_setting){ b->eta, b->eps };
        out->batch = b->batch;
        from[out->bands++] = b;
    }
    out->covered = all > 0 ? with / all : 0;
    if (!(out->covered >= ENOUGH)) {
        out->bands = 0;
        no_advice(out, rec, n);
        return 0;
    }
    out->source = pool(error, out->updates, out->bands, &shared);
    for (size_t i = 0; i < out->bands; i++) {
        int own = isfinite(error[i].R) && error[i].R >= CLEAR * error[i].se;
        const int octave = from[i]->band < MSCOPE_BANDS - 1;
        mscope_risk_band uneven;
        fill(out, i, from[i], &row[i], own ? error[i].R : shared, o, &uneven);
        risk += own ? error[i].R : shared;
        if (mscope_model_add(&out->model, &out->band[i], octave) != MSCOPE_OK ||
            mscope_model_add(&out->uneven, &uneven, octave) != MSCOPE_OK)
            break;
        out->model.steepest[i] = mscope_model_steepest(&out->band[i]);
    }
    if (!(risk > 0)) {
        snprintf(out->why, sizeof out->why, "the rows are at their reference already");
        out->bands = 0;
    }
    return out->bands > 0;
}
