/* fill.h - the fields of a table's records, from the core's accounts to EMA form; no ring, no socket
 *
 * Torch form: buffer buf, lr, c = 1 - dampening map to eta = lr c/eps, m = (eps/c) buf (protocol/README.md, "EMA
 * form"). With eps = 0, or c = 0, no EMA form exists and the momentum quantities are null.
 * Every record comes zeroed. */
#ifndef MSCOPE_DAEMON_FILL_H
#define MSCOPE_DAEMON_FILL_H

#include <math.h>

#include "engine.h"

typedef struct mscope_ema {
    double eta, scale;               /* m in EMA form = scale x native */
} mscope_ema;
mscope_ema mscope_ema_of(const mscope_shadow *s);      /* of the last step; NaN where there is no EMA form */

static inline double mscope_ratio(double a, double b)
{
    return b > 0.0 ? a / b : NAN;
}

/* mscope_retention_of - memory of the momentum of a band in active updates, of rows active P of the steps */
double mscope_retention_of(const mscope_fade *c, double P, double eps);
const char *mscope_form_name(const mscope_shadow *s);
uint64_t mscope_width_of(const mscope_shadow *s);      /* coordinates of a row in the trainer */
int mscope_has_reference(const mscope_shadow *s);
void mscope_fill_text(char out[192], const char *text);
void mscope_fill_source(const mscope_shadow *s, char out[192]);        /* r_source */

/* mscope_fill_band - one band of s, as the core gives it in *b */
void mscope_fill_band(const mscope_engine *e, const mscope_shadow *s, unsigned band, const mscope_band *b,
                      mscope_rec_band *r);
/* mscope_fill_stability - what the directions that s keeps say under its last schedule */
void mscope_fill_stability(const mscope_engine *e, const mscope_shadow *s, mscope_rec_stability *r);

/* mscope_fisher_sum - sum_i |g_i|^2 over the updates of a window, into *s2; returns the updates
 *
 * Where an entry stands for several occurrences its single gradients are not known: those that are known stand for
 * all. */
double mscope_fisher_sum(const mscope_window *w, double *s2);

#endif
