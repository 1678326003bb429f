/* readings.c - see readings.h
 *
 * Growth can be hundredfold within three to five lifetimes of the momentum, and a publication may be thousands of steps
 * away, so readings have a clock of their own. */
#include "readings.h"

#include <math.h>

#include "fill.h"
#include "labels.h"
#include "reads.h"
#include "records.h"

#define SETTLE 16                    /* readings: four lifetimes                                         */
#define UPHILL 0.1                   /* share w from which on growth of |m|^2 is not learning          */
#define SETTLE_REFERENCE 64          /* .. with a reference: R may begin at 0                            */

static void read_band(mscope_engine *e, mscope_shadow *s, unsigned band, const mscope_band *b, const mscope_pulse *p)
{
    const double scale = mscope_ema_of(s).scale, V = b->V / b->rows * scale * scale, top = p->top * scale * scale;
    const double retention = mscope_retention_of(&b->fade, b->P, s->last.eps) / b->P;
    const uint32_t largest = p->updates > 0.0 ? (uint32_t)p->top_row : s->top[band].row;
    char label[MSCOPE_LABEL_MAX + 4];
    const int uphill = mscope_climb_uphill(&s->climb, band, s->last.eps) > UPHILL;

    if (mscope_growth_read(&s->growth[band], b->step, V, retention, uphill))
        mscope_engine_alert(e, s, "growing", "band %u of table %s: |m|^2 a row has grown to %.3g, beyond what it "
                            "was; its rows may be unstable, row %u%s most", band, s->hello.table, V, largest,
                            mscope_label_quoted(s, largest, label));
    if (p->updates == 0.0)
        return;
    s->top[band] = (mscope_top){ (uint32_t)p->top_row, top };
    if (mscope_growth_read(&s->top_growth[band], b->step, top, retention, uphill) && !s->growth[band].growing)
        mscope_engine_alert(e, s, "growing", "row %u%s of table %s, band %u: its |m|^2 has grown to %.3g, beyond what "
                            "the largest of the band was; it may be unstable", s->top[band].row,
                            mscope_label_quoted(s, s->top[band].row, label), s->hello.table, band, top);
}

static void read_climb(mscope_engine *e, mscope_shadow *s, double R, double A)
{
    mscope_climb *c = &s->climb;
    const double eps = s->last.eps;

    if (mscope_climb_read(c, R, A, eps, s->hello.reference[0] != '\0' ? SETTLE_REFERENCE : SETTLE))
        mscope_engine_alert(e, s, "climbing", "table %s: its rows grow uphill, |theta|^2 by %.0f %% in the last %.0f "
                            "steps, against their gradients; band %u most. Lower the rate before the loss rises",
                            s->hello.table, 100.0 * mscope_climb_sum(c),
                            MSCOPE_CLIMB_KEPT * (double)mscope_climb_every(eps), c->band);
}

void mscope_shadow_read(mscope_engine *e, mscope_shadow *s)
{
    const uint64_t now = mscope_table_steps(s->core), every = mscope_climb_every(s->last.eps);
    double R = 0.0, A = 0.0;
    mscope_pulse p;
    mscope_band b;

    if (now < s->climb.next && s->climb.next - now <= every)     /* else eps has grown since */
        return;
    s->climb.next = now + every;
    for (unsigned i = 0; i < MSCOPE_BANDS; i++) {
        if (mscope_table_band(s->core, i, &b) != 0 || mscope_table_pulse(s->core, i, &p) != 0)
            continue;
        mscope_climb_pulse(&s->climb, i, p.gm, p.g2);
        if (b.rows == 0)
            continue;
        R += b.R;
        A += b.P >= s->last.eps ? b.R : 0.0;
        read_band(e, s, i, &b, &p);
    }
    if (mscope_table_band(s->core, MSCOPE_BAND_SILENT, &b) == 0)
        R += b.R;
    if (!mscope_reads(s))                    /* of an optimizer that is read |theta| is not known */
        read_climb(e, s, R, A);
}
