/* watch_summary.c - the bands of a table gathered by regime, with what each regime means */
#include "watch_summary.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/json.h"
#include "diagnose/counsel.h"
#include "diagnose/verdict.h"

typedef struct meaning {
    enum mscope_regime regime;
    const char *words;
} meaning;

static const meaning meanings[] = {
    { MSCOPE_REGIME_UNSTABLE,
      "eta is above the largest stable one: the mean square error grows until it overflows. Lower eta." },
    { MSCOPE_REGIME_NEAR,
      "eta is within a fifth of the largest stable one: batch noise is amplified and a burst can diverge." },
    { MSCOPE_REGIME_HEAVY_BALL,
      "the buffer remembers longer than learning takes: errors swing past their target and back before they settle." },
    { MSCOPE_REGIME_RESONANT, "memory and learning take about equally long: momentum works as intended." },
    { MSCOPE_REGIME_SGD, "the buffer has forgotten before it can add up: momentum changes nothing here, these rows see "
                         "plain SGD at rate eta" },
    { MSCOPE_REGIME_UNKNOWN, "the trainer sent no curvature of these rows yet; a probe measures it." },
};

static void gather(const mscope_latest_table *w, const mscope_verdict *verdict, const meaning *m, double all_updates,
                   FILE *to)
{
    const mscope_rec_table *t = &w->table.record.u.table;
    char bands[160] = "";
    double rows = 0, updates = 0;
    int from = -1;

    for (int b = 0; b <= MSCOPE_BANDS; b++) {
        int in = b < MSCOPE_BANDS && w->have[b] && verdict[b].regime == m->regime;
        size_t at = strlen(bands);

        if (in) {
            rows += (double)w->band[b].record.u.band.rows;
            updates += (double)w->band[b].record.u.band.updates;
        }
        if (in && from < 0)
            from = b;
        if (!in && from >= 0) {
            snprintf(bands + at, sizeof bands - at, from == b - 1 ? "%s%d" : "%s%d-%d", at ? ", " : "", from, b - 1);
            from = -1;
        }
    }
    if (bands[0] == '\0')
        return;
    fprintf(to, "  %-16s band%s %s: %.0f rows, %.0f %% of all updates\n  %-16s %s", mscope_regime_name(m->regime),
            strpbrk(bands, ",-") ? "s" : "", bands, rows, all_updates > 0 ? 100 * updates / all_updates : 0.0, "",
            m->words);
    if (m->regime == MSCOPE_REGIME_SGD && t->optimizer[0] != '\0')
        fprintf(to, ", preconditioned = %.4g.", t->eta);
    else if (m->regime == MSCOPE_REGIME_SGD)     /* in torch terms: the steps add up to lr/(1-momentum) */
        fprintf(to, " = %.4g%s.", t->eta,
                strcmp(t->form, "torch") == 0 ? " (torch: lr (1-dampening)/(1-momentum))" : "");
    fputc('\n', to);
}

/* The price of one beta and where to go next. */
static void counsel(const mscope_judged *j, size_t i, FILE *to)
{
    const mscope_measured_options o = { .spread = 1, .margin = mscope_judged_margin(j, i) };
    const mscope_rec_band *rec[MSCOPE_BANDS];
    const size_t n = mscope_judged_bands(j, i, rec);
    mscope_counsel c;

    mscope_counsel_of(rec, n, &o, 0.1, &c);
    mscope_counsel_say(&c, to);
    if (c.possible)
        fprintf(to, "  (momentscope advise --explain shows the arithmetic)\n");
}

void mscope_summary_bounds(const mscope_judged *j, size_t i, FILE *to)
{
    const mscope_measured_options o = { .spread = 1, .margin = mscope_judged_margin(j, i) };
    const mscope_rec_band *rec[MSCOPE_BANDS];
    const size_t n = mscope_judged_bands(j, i, rec);
    mscope_measured m;
    mscope_bounds b;

    if (!mscope_measured_take(rec, n, &o, &m))
        return;
    mscope_bounds_of(&m, &b);
    fprintf(to, "{\"table\":");
    mscope_json_string(to, rec[0]->table);
    fprintf(to, ",\"bounds\":");
    mscope_bounds_json(&b, &m, to);
    fprintf(to, "}\n");
}

void mscope_summary_print(const mscope_judged *j, size_t i, FILE *to)
{
    const mscope_latest_table *w = &j->latest.table[i];
    const mscope_rec_table *t = &w->table.record.u.table;
    const mscope_verdict *verdict = j->verdict[i];
    double updates = 0;
    int kinds = 0;

    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (w->have[b])
            updates += (double)w->band[b].record.u.band.updates;
    fprintf(to, "what it means for table %s:\n", t->table);
    for (size_t k = 0; k < sizeof meanings / sizeof *meanings; k++) {
        gather(w, verdict, &meanings[k], updates, to);
        for (int b = 0; b < MSCOPE_BANDS; b++)
            if (w->have[b] && verdict[b].regime == meanings[k].regime && verdict[b].regime != MSCOPE_REGIME_UNKNOWN) {
                kinds++;
                break;
            }
    }
    if (kinds > 1)
        fprintf(to, "  one eta %.4g and one eps %.4g act as %d different optimizers on this table.\n", t->eta, t->eps,
                kinds);
    counsel(j, i, to);
}
