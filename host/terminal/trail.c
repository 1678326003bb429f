/* trail.c - see trail.h */
#include "trail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double ARROW = 0.1;     /* relative change that turns it */

static struct mscope_trail_table *find(const mscope_trails *t, const char *name)
{
    for (size_t i = 0; i < t->tables; i++)
        if (strcmp(t->table[i].name, name) == 0)
            return &t->table[i];
    return NULL;
}

static struct mscope_trail_table *add(mscope_trails *t, const char *name)
{
    struct mscope_trail_table *p = realloc(t->table, (t->tables + 1) * sizeof *p);

    if (p == NULL)
        return NULL;
    t->table = p;
    p += t->tables++;
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "%s", name);
    return p;
}

void mscope_trails_take(mscope_trails *t, const mscope_telemetry *m)
{
    const mscope_rec_band *b = &m->record.u.band;

    if (m->record.kind != MSCOPE_REC_BAND || b->band >= MSCOPE_BANDS || !(b->V > 0) || isinf(b->V))
        return;
    struct mscope_trail_table *table = find(t, b->table);
    if (table == NULL && (table = add(t, b->table)) == NULL)
        return;
    if (table->epoch != b->epoch)            /* another daemon knows nothing of what was before */
        memset(table->band, 0, sizeof table->band);
    table->epoch = b->epoch;
    mscope_trail *const k = &table->band[b->band];
    if (k->n == MSCOPE_TRAIL_KEPT)
        memmove(k->v, k->v + 1, (size_t)--k->n * sizeof *k->v);
    k->v[k->n++] = b->V;
}

void mscope_trails_fini(mscope_trails *t)
{
    free(t->table);
    *t = (mscope_trails){ .tables = 0 };
}

const mscope_trail *mscope_trail_of(const mscope_trails *t, const char *table, int band)
{
    const struct mscope_trail_table *found = find(t, table);

    return found != NULL && found->band[band].n > 0 ? &found->band[band] : NULL;
}

static double mean_log(const mscope_trail *t, int from, int to)
{
    double sum = 0;

    for (int i = from; i < to; i++)
        sum += log(t->v[i]);
    return sum / (to - from);
}

/* -1, 0, 1: falls, stays, rises */
static int direction(const mscope_trail *t)
{
    const int quarter = t->n / 4;

    if (quarter < 1)
        return 0;
    const double rise = mean_log(t, t->n - quarter, t->n) - mean_log(t, t->n - 2 * quarter, t->n - quarter);

    return rise > ARROW ? 1 : rise < -ARROW ? -1 : 0;
}

void mscope_trail_draw(const mscope_trail *t, mscope_paper *to)
{
    static const char *const bars[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    static const char *const plain[] = { "_", ".", "-", "=", "+", "*", "%", "#" };
    static const char *const arrows[] = { "↓", "→", "↑" }, *const plain_arrows[] = { "v", "-", "^" };
    const int n = t == NULL ? 0 : t->n < MSCOPE_TRAIL_BARS ? t->n : MSCOPE_TRAIL_BARS;
    double low = INFINITY, high = -INFINITY;

    for (int i = 0; i < n; i++) {
        const double x = mean_log(t, i * t->n / n, (i + 1) * t->n / n);
        low = fmin(low, x);
        high = fmax(high, x);
    }
    for (int i = 0; i < MSCOPE_TRAIL_BARS - n; i++)
        mscope_paper_add(to, MSCOPE_STYLE_PLAIN, " ");
    for (int i = 0; i < n; i++) {
        const double x = mean_log(t, i * t->n / n, (i + 1) * t->n / n);
        const int level = high - low < ARROW ? 3 : (int)(7.999 * (x - low) / (high - low));
        mscope_paper_add(to, MSCOPE_STYLE_NOTE, "%s", to->utf8 ? bars[level] : plain[level]);
    }
    mscope_paper_add(to, MSCOPE_STYLE_FAINT, " %s",
                     n == 0 ? " " : (to->utf8 ? arrows : plain_arrows)[direction(t) + 1]);
}
