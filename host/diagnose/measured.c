/* measured.c - telemetry to bands of known curvature */
#include "measured.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double ENOUGH = 0.8;         /* share of the updates that must have curvature        */
static const double CLEAR = 2;            /* standard errors by which U must stand out            */

static int usable(const mscope_rec_band *b)
{
    return b->rows > 0 && b->H1 > 0 && b->H2 >= 0 && b->P > 0 && b->p > 0 && b->eta > 0 && b->eps > 0 && b->batch > 0;
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

/* Mean square error of one row where it is known, else NaN. */
static double error_of(const mscope_rec_band *b, double h1)
{
    if (b->R >= 0)
        return b->R / (double)b->rows;
    if (b->U > 0 && b->U_se >= 0 && b->U > CLEAR * b->U_se)
        return b->p * b->batch * b->p * b->batch * b->U / (h1 * h1);
    return NAN;
}

/* One curvature, or eight with log-even spacing and the same mean; the noise is split as a Gaussian row splits it,
 * in proportion so that the measured H2 stays what it is for an error spread evenly. */
static void split(mscope_risk_band *b, double spread, double h1, double excess, double R, double noise2)
{
    double mean = 0, square = 0, shared = 0;

    b->groups = spread > 1 ? MSCOPE_RISK_GROUPS : 1;
    if (b->groups == 1) {
        b->h1[0] = h1;
        b->excess[0] = excess;
        b->noise2[0] = noise2;
        b->R0[0] = R;
        return;
    }
    for (int j = 0; j < b->groups; j++) {
        b->h1[j] = pow(spread, -(double)j / (b->groups - 1));
        mean += b->h1[j] / b->groups;
    }
    for (int j = 0; j < b->groups; j++) {
        b->h1[j] *= h1 / mean;
        square += b->h1[j] * b->h1[j] / b->groups;
    }
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
    snprintf(out->why, sizeof out->why, "curvature is known for %.0f %% of the updates only: %.120s", 100 * out->covered, why);
}

int mscope_measured_take(const mscope_rec_band *const *rec, size_t n, const mscope_measured_options *o, mscope_measured *out)
{
    double all = 0, with = 0, known = 0, error = 0, R[MSCOPE_SEARCH_BANDS];
    mscope_row row[MSCOPE_SEARCH_BANDS];
    const mscope_rec_band *from[MSCOPE_SEARCH_BANDS];

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        const mscope_rec_band *b = rec[i];
        double H2 = fmax(b->H2, b->H1 * b->H1);
        all += (double)b->updates;
        if (!usable(b) || out->bands == MSCOPE_SEARCH_BANDS ||
            mscope_row_from_probe(fmin(b->P, 1), b->H1, H2, b->eps, b->eta, 0, &row[out->bands]) != MSCOPE_OK)
            continue;
        with += (double)b->updates;
        R[out->bands] = error_of(b, row[out->bands].h1);
        if (isfinite(R[out->bands])) {
            known += (double)b->updates;
            error += (double)b->updates * R[out->bands];
            out->reference |= b->R >= 0;
        }
        from[out->bands++] = b;
    }
    out->covered = all > 0 ? with / all : 0;
    if (!(out->covered >= ENOUGH)) {
        out->bands = 0;
        no_advice(out, rec, n);
        return 0;
    }
    out->error_known = with > 0 ? known / with : 0;
    for (size_t i = 0; i < out->bands; i++) {
        const mscope_rec_band *b = from[i];
        mscope_risk_band *to = &out->band[i];
        double e = isfinite(R[i]) ? R[i] : known > 0 ? error / known : 1;
        double label = known > 0 && b->g2 > 0 ? fmax(0, b->p * b->batch * b->g2 - row[i].h1 * row[i].excess * e) : 0;
        to->rows = (double)b->rows;
        to->p = b->p;
        to->P = fmin(b->P, 1);
        to->weight = o->by_rows ? to->rows / b->p : to->rows;
        split(to, o->spread, row[i].h1, row[i].excess, e, label);
        out->number[i] = (unsigned)b->band;
        out->updates[i] = (double)b->updates;
        out->activity[i] = o->by_rows ? to->rows : to->rows * to->p;
        out->now = (mscope_setting){ b->eta, b->eps };
        out->batch = b->batch;
    }
    if (!(error > 0) && known > 0) {
        snprintf(out->why, sizeof out->why, "the rows are at their reference already");
        out->bands = 0;
        return 0;
    }
    return 1;
}
