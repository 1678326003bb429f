/* watch_view.c - a judged set as text: an aligned table and a sentence for each band */
#include "watch_view.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "terminal/columns.h"

static void head(FILE *to, uint32_t columns)
{
    for (int c = 0; c < MSCOPE_COLUMN_REGIME; c++)
        if (columns >> c & 1)
            fprintf(to, "%s%*s", c > 0 ? " " : "", mscope_column_width(c), mscope_column_name(c));
    fprintf(to, " %s\n", mscope_column_name(MSCOPE_COLUMN_REGIME));
}

static void row(FILE *to, uint32_t columns, const mscope_rec_band *b, const mscope_verdict *v)
{
    char text[MSCOPE_COLUMN_TEXT];

    for (int c = 0; c < MSCOPE_COLUMN_REGIME; c++)
        if (columns >> c & 1)
            fprintf(to, "%s%*s", c > 0 ? " " : "", mscope_column_width(c), mscope_column_text(c, b, v, text));
    fprintf(to, " %s\n", mscope_column_text(MSCOPE_COLUMN_REGIME, b, v, text));
}

static void sentence(FILE *to, const mscope_judged *j, size_t i, int band)
{
    const mscope_rec_band *b = &j->latest.table[i].band[band].record.u.band;
    const mscope_verdict *v = &j->verdict[i][band];
    char said[MSCOPE_TEXT_MAX + 1];
    enum mscope_agreement agrees;
    mscope_modes modes;

    fprintf(to, "band %" PRIu64 ": p %.2g", b->band, b->p);
    if (!isnan(v->H))
        fprintf(to, ", H %.2g", v->H);
    if (!isnan(v->zeta))
        fprintf(to, ", zeta %.2g", v->zeta);
    fprintf(to, ": %s", v->why);
    if (v->confidence > 0 && v->confidence < 0.9)
        fprintf(to, " (confidence %.0f %%: %.0f row samples)", 100 * v->confidence, b->h_samples);
    if (mscope_judged_modes(j, i, band, &modes, &agrees, said, sizeof said) && modes.kind != MSCOPE_MODES_UNKNOWN)
        fprintf(to, "; %s", said);
    fputc('\n', to);
}

/* How near all that moves together is to its limit, and what decides it. */
static void stability(FILE *to, const mscope_judged *j, size_t i)
{
    const mscope_latest_table *w = &j->latest.table[i];
    const mscope_rec_stability *r = &w->stability.record.u.stability;
    const mscope_margin *m = &j->margin[i];

    if (!w->have_stability)
        return;
    fprintf(to, "stability of %s: ", strcmp(r->spans, "all") == 0 ? "all parameters" : "the watched tables");
    if (isnan(m->H)) {
        fprintf(to, "%s\n", m->why);
        return;
    }
    fprintf(to, "H %.2g +- %.1g: %s", m->H, m->H_se, m->why);
    if (m->confidence < 0.9)
        fprintf(to, " (confidence %.0f %%: %.0f probes)", 100 * m->confidence, r->samples);
    if (m->burst > 1.05)
        fprintf(to, "; rows that come in bursts make it %.2g times that of independent steps", m->H / r->H);
    if (r->outside_curvature > 0.5 || r->outside_noise > 0.5)
        fprintf(to, "; parameters outside the watched tables have %.0f %% of the curvature and %.0f %% of the noise",
                100 * r->outside_curvature, 100 * r->outside_noise);
    if (r->row_share > 0.25)
        fprintf(to, "; row %" PRIu64 "%s%s%s of %s has %.0f %% of the direction", r->row,
                r->row_label[0] != '\0' ? " \"" : "", r->row_label, r->row_label[0] != '\0' ? "\"" : "", r->row_table,
                100 * r->row_share);
    fputc('\n', to);
}

static void notes(FILE *to, const mscope_rec_table *t)
{
    if (!t->attached)
        fprintf(to, "note: no trainer holds this table now\n");
    if (t->overflowed)
        fprintf(to, "note: rows or gradients are not finite since step %" PRIu64 "\n", t->step);
    if (!t->exact && t->optimizer[0] == '\0')
        fprintf(to, "note: not exact: steps were lost, rows not yet seen, or rounded to fewer digits by the trainer; "
                    "after its SYNC V, R and C are right again, but where it rounds never\n");
    if (t->lost_steps > 0)
        fprintf(to, "note: %" PRIu64 " steps never arrived\n", t->lost_steps);
    if (t->refused_messages > 0)
        fprintf(to, "note: %" PRIu64 " messages were refused; the daemon's log says why\n", t->refused_messages);
    if (t->optimizer[0] != '\0')
        fprintf(to, "note: %s is read, not followed: silent rows %s; there is no R, C or U of them\n", t->optimizer,
                strcmp(t->form, "frozen") == 0 ? "stand still, so a buffer forgets by updates and not by steps"
                                               : "move and decay at every step");
    else if (strncmp(t->r_source, "none", 4) == 0)
        fprintf(to, "note: R and C need a reference (%s)\n", t->r_source);
    if (t->silent > 0)
        fprintf(to, "note: %" PRIu64 " of %" PRIu64 " rows were never active\n", t->silent, t->rows);
}

/* Which shard of a table is missing, and how many steps the shards are apart. */
static void shards(FILE *to, const mscope_coverage *c, const char *before, const char *gap)
{
    if (c->missing[0] != '\0')
        fprintf(to, "%s%sINCOMPLETE: %s; sums are unknown, counts and means are of the others\n", before, gap,
                c->missing);
    fprintf(to, "%s%sshards: %zu, the last at step %" PRIu64 ", the first %" PRIu64 " steps ahead of it\n", before, gap,
            c->shards, c->step, c->skew);
}

static void print_table(const mscope_judged *j, size_t i, const mscope_coverage *coverage, uint32_t columns,
                        FILE *to)
{
    const mscope_latest_table *w = &j->latest.table[i];
    const mscope_rec_table *t = &w->table.record.u.table;

    fprintf(to,
            "table %s: step %" PRIu64 ", %" PRIu64 " rows x %" PRIu64 ", %s form; in EMA form eta %.4g, eps %.4g",
            t->table, t->step, t->rows, t->d, t->form, t->eta, t->eps);
    if (t->optimizer[0] != '\0')
        fprintf(to, ", eps2 %.4g", t->eps2);
    fprintf(to, ", batch %.4g\n", t->batch);
    if (coverage != NULL)
        shards(to, &coverage[i], "", "");
    head(to, columns);
    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (w->have[b])
            row(to, columns, &w->band[b].record.u.band, &j->verdict[i][b]);
    for (int b = 0; b < MSCOPE_BANDS; b++)
        if (w->have[b])
            sentence(to, j, i, b);
    stability(to, j, i);
    notes(to, t);
}

/* Seconds in s, ms or us. */
static const char *span(double s, char out[16])
{
    if (s >= 1)
        snprintf(out, 16, "%.3g s", s);
    else if (s >= 1e-3)
        snprintf(out, 16, "%.3g ms", 1e3 * s);
    else
        snprintf(out, 16, "%.3g us", 1e6 * s);
    return out;
}

void mscope_view_timing(const mscope_rec_daemon *d, FILE *to)
{
    char a[6][16];
    const int realtime = strcmp(d->realtime, "off") != 0;

    fprintf(to, "now (worst since start): records %s (%s) late, sockets unwatched for %s (%s),",
            span(d->late_max, a[0]), span(d->late_worst, a[1]), span(d->pause_max, a[2]), span(d->pause_worst, a[3]));
    fprintf(to, " a message took %s (%s)%s%s\n", span(d->message_max, a[4]), span(d->message_worst, a[5]),
            realtime ? "; real time: " : "", realtime ? d->realtime : "");
}

void mscope_view_print(const mscope_judged *j, const mscope_coverage *coverage, const mscope_subscriber_stats *stats,
                       uint32_t columns, FILE *to)
{
    const mscope_latest *l = &j->latest;
    char words[MSCOPE_WORST_TEXT], alert[MSCOPE_ALERT_TEXT];
    mscope_worst w;

    mscope_worst_of(j, NULL, &w);
    if (w.bands > 0) {
        mscope_worst_say(j, &w, words);
        fprintf(to, "%s\n", words);
    }
    if (l->have_daemon) {
        const mscope_rec_daemon *d = &l->daemon.record.u.daemon;
        fprintf(to, "momentscoped %s, up %.0f s, %" PRIu64 " steps applied, %" PRIu64 " lost", d->version, d->uptime,
                d->steps_applied, d->lost_steps);
        fprintf(to, "; here %" PRIu64 " records, %" PRIu64 " lost\n", stats->received, stats->lost);
        mscope_view_timing(d, to);
    }
    mscope_latest_alert(l, alert);
    if (alert[0] != '\0')
        fprintf(to, "%s\n", alert);
    for (size_t i = 0; i < l->tables; i++) {
        if (!l->table[i].have_table)
            continue;
        fputc('\n', to);
        print_table(j, i, coverage, columns, to);
    }
}

void mscope_view_shards(const mscope_latest *l, const mscope_coverage *coverage, int json, FILE *to)
{
    for (size_t i = 0; i < l->tables && coverage != NULL; i++) {
        if (!l->table[i].have_table)
            continue;
        if (json)
            mscope_json_coverage(to, l->table[i].name, &coverage[i]);
        else
            shards(to, &coverage[i], l->table[i].name, " ");
    }
}
