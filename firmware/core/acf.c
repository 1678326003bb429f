/* acf.c - reference autocorrelation of the momentum
 *
 * A followed row keeps one copy of its momentum and, for 8/rho of its active updates, a(s) = <m_ref, m_{ref+s}> at up
 * to 48 lags. E a(s) is exactly a sum of the two modes of the mean map, to which the host fits them. Only completed
 * references enter the mean, so every lag is averaged over the same references. A finished slot goes to the next active
 * row of the band that is not followed. */
#include <math.h>
#include <string.h>

#include "table.h"

#define LENGTH 8.0                   /* retention times a reference lasts */
#define DRIFT 0.25                   /* relative change of the wanted stride at which a band starts anew */

static mscope_acf_slot *slots_of(mscope_table *t, unsigned band)
{
    return t->slot + (size_t)band * t->cfg.acf_rows;
}

static double dot(const mscope_table *t, const mscope_acf_slot *s, uint32_t row)
{
    const unsigned char *a = t->slot_m + (size_t)(s - t->slot) * t->cfg.dim * t->m_size;
    size_t base = (size_t)row * t->cfg.dim;
    double lane[MSCOPE_LANES] = { 0 };

    for (size_t i = 0; i < t->cfg.dim; i++)
        if (t->m_size == 8)
            lane[i % MSCOPE_LANES] += ((const double *)(const void *)a)[i] *
                                      ((const double *)(const void *)t->m)[base + i];
        else
            lane[i % MSCOPE_LANES] += (double)((const float *)(const void *)a)[i] *
                                      (double)((const float *)(const void *)t->m)[base + i];
    return mscope_lanes_fold(lane);
}

/* The stride at which the stored lags span 8/rho active updates of this band; 0: momentum never forgets. */
static uint32_t wanted_stride(const mscope_table *t, unsigned band)
{
    const mscope_account *s = &t->band[band + 1].live;
    double P = s->rows ? s->P / s->rows : 1.0, eps = t->step.eps, length;

    if (eps <= 0.0)
        return 0;
    if (P > 1.0)
        P = 1.0;
    length = LENGTH * (P + (1.0 - P) * eps) / eps;
    length = ceil(length / (MSCOPE_ACF_LAGS - 1));
    return length < 1e9 ? (uint32_t)length : 0;
}

static void finish(mscope_table *t, unsigned band, mscope_acf_slot *s)
{
    mscope_acf *a = &t->acf[band];

    if (s->stride == a->stride) {
        a->references++;
        for (uint32_t j = 0; j < s->lags; j++)
            a->a[j] += (s->lag[j] - a->a[j]) / a->references;
    }
    s->busy = 0;
    t->acf_busy[band]--;
    t->row[s->row].flags &= (uint8_t)~MSCOPE_ROW_FOLLOWED;
}

static void start(mscope_table *t, unsigned band, mscope_acf_slot *s, uint32_t row)
{
    mscope_acf *a = &t->acf[band];
    uint32_t want = wanted_stride(t, band);

    if (want == 0)
        return;
    if (fabs((double)want - (double)a->stride) > DRIFT * (double)a->stride) {
        memset(a, 0, sizeof *a);
        a->stride = want;
        a->lags = MSCOPE_ACF_LAGS;
    }
    s->row = row;
    s->stride = a->stride;
    s->lags = a->lags;
    s->filled = 1;
    s->started = t->row[row].active;
    s->busy = 1;
    t->acf_busy[band]++;
    memcpy(t->slot_m + (size_t)(s - t->slot) * t->cfg.dim * t->m_size, mscope_at(t->m, row, t, t->m_size),
           t->cfg.dim * t->m_size);
    s->lag[0] = dot(t, s, row);
    t->row[row].flags |= MSCOPE_ROW_FOLLOWED;
}

static mscope_acf_slot *search(mscope_table *t, uint32_t row, size_t from, size_t to)
{
    for (size_t k = from; k < to; k++)
        if (t->slot[k].busy && t->slot[k].row == row)
            return &t->slot[k];
    return NULL;
}

/* The slot of a followed row: in its band, or in the band that it has just left. */
static mscope_acf_slot *slot_of(mscope_table *t, uint32_t row, unsigned *band)
{
    size_t n = t->cfg.acf_rows, own = mscope_core_row_band(&t->row[row]) * n;
    mscope_acf_slot *s = search(t, row, own, own + n);

    if (s == NULL)
        s = search(t, row, 0, MSCOPE_BANDS * n);
    if (s)
        *band = (unsigned)((size_t)(s - t->slot) / n);
    return s;
}

static mscope_acf_slot *free_slot(mscope_table *t, unsigned band)
{
    mscope_acf_slot *s = slots_of(t, band);

    if (t->acf_busy[band] == t->cfg.acf_rows)
        return NULL;
    while (s->busy)
        s++;
    return s;
}

void mscope_acf_note(mscope_table *t, uint32_t row)
{
    mscope_core_row *x = &t->row[row];
    unsigned band = mscope_core_row_band(x), held = MSCOPE_BANDS;
    mscope_acf_slot *s = x->flags & MSCOPE_ROW_FOLLOWED ? slot_of(t, row, &held) : NULL;

    if (s && held != band) {
        mscope_acf_forget(t, row);
        s = NULL;
    }
    if (s) {
        if (x->active - s->started == (uint64_t)s->stride * s->filled)
            s->lag[s->filled++] = dot(t, s, row);
        if (s->filled == s->lags)
            finish(t, band, s);
    } else if ((s = free_slot(t, band)) != NULL) {
        start(t, band, s, row);
    }
}

void mscope_acf_forget(mscope_table *t, uint32_t row)
{
    mscope_acf_slot *s;
    unsigned band;

    if (!(t->row[row].flags & MSCOPE_ROW_FOLLOWED))
        return;
    t->row[row].flags &= (uint8_t)~MSCOPE_ROW_FOLLOWED;
    s = slot_of(t, row, &band);
    if (s) {
        s->busy = 0;
        t->acf_busy[band]--;
    }
}

int mscope_table_acf(const mscope_table *t, unsigned b, mscope_acf *out)
{
    if (b >= MSCOPE_BANDS)
        return MSCOPE_EINVAL;
    if (t->acf[b].references == 0)
        return MSCOPE_EAGAIN;
    *out = t->acf[b];
    return MSCOPE_OK;
}
