/* bounds.c - see bounds.h */
#include "bounds.h"

#include <math.h>

enum { PER_DECADE = 24, GRID = 4 * PER_DECADE };

static const double HELPS = 1.01;            /* times faster: less is none */

/* Label noise does not change a rate. NaN where SGD at this eta is unstable: momentum makes it possible at all. */
static double best_momentum(const mscope_risk_band *b, double eta)
{
    const double plain = mscope_risk_rate(b, (mscope_setting){ eta, 1 });
    double best = plain;

    if (!(plain > 0))
        return NAN;
    for (int k = 1; k <= GRID; k++)
        best = fmax(best, mscope_risk_rate(b, (mscope_setting){ eta, pow(10, -(double)k / PER_DECADE) }));
    return best / plain;
}

void mscope_bounds_of(const mscope_measured *m, mscope_bounds *out)
{
    double high = 0, low = INFINITY, excess = 0, weight = 0;

    for (size_t i = 0; i < m->bands; i++) {
        out->noise[i] = 0.5 * m->now.eta * m->excess[i];
        out->momentum[i] = best_momentum(&m->band[i], m->now.eta);
        out->batch[i] = m->batch * m->excess[i] / m->h1[i];
        high = fmax(high, m->h1[i]);
        low = fmin(low, m->h1[i]);
        excess += m->updates[i] * m->excess[i];
        weight += m->updates[i];
    }
    out->batch_table = high > low && weight > 0 ? m->batch * excess / weight / (high - low) : NAN;
}

/* -- words ------------------------------------------------------------------------------------------------- */

typedef int (*test)(const mscope_bounds *b, size_t i);

static int helpless(const mscope_bounds *b, size_t i)
{
    return b->momentum[i] < HELPS;
}

/* "3, 5-7" of the bands that pass; returns how many. */
static size_t bands_that(const mscope_bounds *b, const mscope_measured *m, test t, char *to, size_t cap)
{
    size_t n = 0, at = 0;

    to[0] = '\0';
    for (size_t i = 0; i < m->bands; i++) {
        const size_t from = i;
        if (!t(b, i))
            continue;
        while (i + 1 < m->bands && t(b, i + 1))
            i++;
        n += i - from + 1;
        const int wrote = from == i ? snprintf(to + at, cap - at, "%s%u", at > 0 ? ", " : "", m->number[i])
                                    : snprintf(to + at, cap - at, "%s%u-%u", at > 0 ? ", " : "", m->number[from],
                                               m->number[i]);
        at = wrote > 0 && at + (size_t)wrote < cap ? at + (size_t)wrote : at;
    }
    return n;
}

static void momentum_words(const mscope_bounds *b, const mscope_measured *m, FILE *to)
{
    char bands[160];
    const size_t none = bands_that(b, m, helpless, bands, sizeof bands);
    double most = 1;

    if (none > 0)
        fprintf(to, "  no beta makes %s%s faster than SGD at this eta, which is the noise floor of now.\n",
                none == m->bands ? "any band" : none > 1 ? "bands " : "band ", none == m->bands ? "" : bands);
    if (none == m->bands)
        return;
    for (size_t i = 0; i < m->bands; i++)
        most = fmax(most, b->momentum[i]);
    fprintf(to, "  at this eta momentum is worth at most %.2f times the speed of SGD%s.\n", most,
            none > 0 ? " in the others" : "");
}

static void batch_words(const mscope_bounds *b, const mscope_measured *m, FILE *to)
{
    double low = INFINITY, high = 0;
    unsigned at_low = 0, at_high = 0;

    if (!isnan(b->batch_table))
        fprintf(to, "  the batch of %.4g is %.3g of the table's critical batch %.4g: %s.\n", m->batch,
                m->batch / b->batch_table, b->batch_table,
                m->batch < b->batch_table ? "rates for each band do not make the slowest rows faster than one eta does"
                                          : "rates for each band can make the slowest rows faster");
    for (size_t i = 0; i < m->bands; i++) {
        if (m->noise_scale[i] < low) {
            low = m->noise_scale[i];
            at_low = m->number[i];
        }
        if (m->noise_scale[i] > high) {
            high = m->noise_scale[i];
            at_high = m->number[i];
        }
    }
    if (high > 0)
        fprintf(to, "  noise is as large as the gradient at a batch of %.3g (band %u) to %.3g (band %u).\n", low,
                at_low, high, at_high);
}

void mscope_bounds_say(const mscope_bounds *b, const mscope_measured *m, FILE *to)
{
    momentum_words(b, m, to);
    batch_words(b, m, to);
}

static void number(FILE *to, const char *before, double x)
{
    if (isfinite(x))
        fprintf(to, "%s%.9g", before, x);
    else
        fprintf(to, "%snull", before);
}

void mscope_bounds_json(const mscope_bounds *b, const mscope_measured *m, FILE *to)
{
    number(to, "{\"batch_critical\":", b->batch_table);
    fprintf(to, ",\"bands\":[");
    for (size_t i = 0; i < m->bands; i++) {
        fprintf(to, "%s{\"band\":%u", i > 0 ? "," : "", m->number[i]);
        number(to, ",\"noise\":", b->noise[i]);
        number(to, ",\"momentum_at_most\":", b->momentum[i]);
        number(to, ",\"batch_critical\":", b->batch[i]);
        number(to, ",\"noise_scale\":", m->noise_scale[i]);
        fputc('}', to);
    }
    fprintf(to, "]}");
}
