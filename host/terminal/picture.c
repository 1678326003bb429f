/* picture.c - see picture.h */
#include "picture.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "columns.h"
#include "screen.h"

/* Every band of a table, and where to find it. */
typedef struct list {
    int band[MSCOPE_BANDS], n;
} list;

static const struct {
    const char *name;
    int column;                  /* the largest number first; band: as it is */
} sorts[] = { { "band", 0 }, { "updates", 4 }, { "V", MSCOPE_COLUMN_V }, { "H", 12 }, { "zeta", 13 } };

enum { SORTS = sizeof sorts / sizeof *sorts, PAGE = 10 };

void mscope_look_key(mscope_look *look, int key)
{
    if (look->help && key != 'q') {
        look->help = key == MSCOPE_KEY_NONE;
        return;
    }
    if (look->paused && key != ' ' && key != 'q' && key != '?')
        return;                  /* a picture that is held shows what it showed */
    switch (key) {
    case 'q': look->quit = 1; break;
    case ' ': look->paused = !look->paused; break;
    case '?': case 'h': look->help = 1; break;
    case 's': look->sort = (look->sort + 1) % SORTS; break;
    case 't': case '\t': look->table++; look->chosen = 0; break;
    case MSCOPE_KEY_UP: case 'k': look->chosen--; break;
    case MSCOPE_KEY_DOWN: case 'j': look->chosen++; break;
    case MSCOPE_KEY_PAGE_UP: look->chosen -= PAGE; break;
    case MSCOPE_KEY_PAGE_DOWN: look->chosen += PAGE; break;
    case MSCOPE_KEY_HOME: look->chosen = 0; break;
    case MSCOPE_KEY_END: look->chosen = MSCOPE_BANDS; break;
    default: break;
    }
    if (look->chosen < 0)
        look->chosen = 0;
}

static enum mscope_style style_of(enum mscope_regime r)
{
    switch (r) {
    case MSCOPE_REGIME_UNSTABLE: return MSCOPE_STYLE_BAD;
    case MSCOPE_REGIME_NEAR: return MSCOPE_STYLE_WARN;
    case MSCOPE_REGIME_RESONANT: return MSCOPE_STYLE_GOOD;
    case MSCOPE_REGIME_HEAVY_BALL: return MSCOPE_STYLE_NOTE;
    default: return MSCOPE_STYLE_PLAIN;
    }
}

/* The table that is looked at: the look->table-th of those with a record, from the start again after the last. */
static const mscope_latest_table *looked_at(const mscope_judged *j, mscope_look *look, size_t *index, size_t *all)
{
    size_t k = 0;

    *all = 0;
    for (size_t i = 0; i < j->latest.tables; i++)
        *all += j->latest.table[i].have_table != 0;
    if (*all == 0)
        return NULL;
    look->table %= *all;
    for (*index = 0; !j->latest.table[*index].have_table || k++ != look->table; ++*index)
        ;
    return &j->latest.table[*index];
}

/* -- the top --------------------------------------------------------------------------------------------- */

static void title(const mscope_rec_table *t, const mscope_look *look, size_t all, mscope_paper *to)
{
    mscope_paper_add(to, MSCOPE_STYLE_BAR, " %s", t->table);
    if (all > 1)
        mscope_paper_add(to, MSCOPE_STYLE_BAR, " (table %zu of %zu)", look->table + 1, all);
    mscope_paper_add(to, MSCOPE_STYLE_BAR, "%s%s%s  step %" PRIu64 "  %" PRIu64 " rows x %" PRIu64
                     "  eta %.3g eps %.3g batch %.3g",
                     look->paused ? "  PAUSED" : "", t->attached ? "" : "  NO TRAINER", t->exact ? "" : "  NOT EXACT",
                     t->step, t->rows, t->d, t->eta, t->eps, t->batch);
    while (to->column < to->width && !to->failed)
        mscope_paper_add(to, MSCOPE_STYLE_BAR, " ");
    mscope_paper_end(to);
}

static void verdict(const mscope_judged *j, int most, mscope_paper *to)
{
    char words[MSCOPE_WORST_TEXT];
    mscope_worst w;

    mscope_worst_of(j, NULL, &w);
    mscope_worst_say(j, &w, words);
    mscope_paper_say(to, w.found && (w.regime == MSCOPE_REGIME_NEAR || w.regime == MSCOPE_REGIME_UNSTABLE)
                             ? style_of(w.regime) : MSCOPE_STYLE_STRONG, 0, most, words);
}

static void together(const mscope_judged *j, size_t i, mscope_paper *to)
{
    const mscope_margin *m = mscope_judged_margin(j, i);
    char words[MSCOPE_TEXT_MAX + 64];

    if (m == NULL || isnan(m->H))
        return;
    snprintf(words, sizeof words, "all that moves together: H %.2g +- %.1g, %s", m->H, m->H_se, m->why);
    mscope_paper_say(to, MSCOPE_STYLE_PLAIN, 0, 1, words);
}

/* What is lost, late or missing; nothing where all is well. */
static void troubles(const mscope_judged *j, size_t i, const mscope_coverage *coverage,
                     const mscope_subscriber_stats *stats, mscope_paper *to)
{
    const mscope_rec_table *t = &j->latest.table[i].table.record.u.table;
    char words[MSCOPE_TEXT_MAX + sizeof coverage->missing], alert[MSCOPE_ALERT_TEXT];

    if (coverage != NULL && coverage[i].missing[0] != '\0') {
        snprintf(words, sizeof words, "INCOMPLETE: %s; sums are unknown", coverage[i].missing);
        mscope_paper_say(to, MSCOPE_STYLE_WARN, 0, 1, words);
    }
    if (t->lost_steps > 0 || t->refused_messages > 0 || stats->lost > 0) {
        snprintf(words, sizeof words, "lost: %" PRIu64 " steps, %" PRIu64 " records; refused: %" PRIu64 " messages",
                 t->lost_steps, stats->lost, t->refused_messages);
        mscope_paper_say(to, MSCOPE_STYLE_WARN, 0, 1, words);
    }
    mscope_latest_alert(&j->latest, alert);
    if (alert[0] != '\0')
        mscope_paper_say(to, MSCOPE_STYLE_FAINT, 0, 1, alert);
}

/* -- the bands ------------------------------------------------------------------------------------------- */

static void collect(const mscope_judged *j, size_t i, int sort, list *l)
{
    const mscope_latest_table *w = &j->latest.table[i];
    double key[MSCOPE_BANDS] = { 0 };

    l->n = 0;
    for (int b = 0; b < MSCOPE_BANDS; b++) {
        if (!w->have[b])
            continue;
        const double x = mscope_column_number(sorts[sort].column, &w->band[b].record.u.band, &j->verdict[i][b]);
        const double k = sort == 0 ? -(double)b : isnan(x) ? -INFINITY : x;
        int at = l->n++;
        for (; at > 0 && key[at - 1] < k; at--) {
            key[at] = key[at - 1];
            l->band[at] = l->band[at - 1];
        }
        key[at] = k;
        l->band[at] = b;
    }
}

static void head(uint32_t columns, mscope_paper *to)
{
    for (int c = 0; c < MSCOPE_COLUMNS; c++)
        if (columns >> c & 1)
            mscope_paper_add(to, MSCOPE_STYLE_FAINT, "%s%*s", c > 0 ? " " : "",
                             c >= MSCOPE_COLUMN_TRAIL ? -mscope_column_width(c) : mscope_column_width(c),
                             c == MSCOPE_COLUMN_TRAIL ? "V lately" : mscope_column_name(c));
    mscope_paper_end(to);
}

static void row(const mscope_judged *j, size_t i, int b, uint32_t columns, const mscope_trails *trails, int chosen,
                mscope_paper *to)
{
    const mscope_rec_band *r = &j->latest.table[i].band[b].record.u.band;
    const mscope_verdict *v = &j->verdict[i][b];
    char text[MSCOPE_COLUMN_TEXT];

    for (int c = 0; c < MSCOPE_COLUMNS; c++) {
        if (!(columns >> c & 1))
            continue;
        mscope_paper_add(to, MSCOPE_STYLE_PLAIN, "%s", c > 0 ? " " : "");
        if (c == MSCOPE_COLUMN_TRAIL)
            mscope_trail_draw(mscope_trail_of(trails, r->table, b), to);
        else
            mscope_paper_add(to, c == MSCOPE_COLUMN_REGIME ? style_of(v->regime) : MSCOPE_STYLE_PLAIN, "%*s",
                             c == MSCOPE_COLUMN_REGIME ? 0 : mscope_column_width(c), mscope_column_text(c, r, v, text));
    }
    if (chosen)
        mscope_paper_mark(to);
    mscope_paper_end(to);
}

/* At most `room` lines, the chosen band among them; what is left out is counted in the last. */
static void bands(const mscope_judged *j, size_t i, const list *l, const mscope_trails *trails, mscope_look *look,
                  int room, mscope_paper *to)
{
    const uint32_t columns = look->columns != 0 ? look->columns : mscope_columns_fit(to->width, 1);
    const int shown = l->n <= room ? l->n : room > 1 ? room - 1 : room;
    const int first = look->chosen < shown ? 0 : look->chosen - shown + 1;

    head(columns, to);
    for (int k = first; k < first + shown && k < l->n; k++)
        row(j, i, l->band[k], columns, trails, k == look->chosen, to);
    if (shown < l->n && room > 1) {
        mscope_paper_add(to, MSCOPE_STYLE_FAINT, "bands %d to %d of %d: more with the arrow keys", first + 1,
                         first + shown, l->n);
        mscope_paper_end(to);
    }
}

/* -- the bottom ------------------------------------------------------------------------------------------ */

static void chosen_band(const mscope_judged *j, size_t i, int b, int most, mscope_paper *to)
{
    const mscope_verdict *v = &j->verdict[i][b];
    char words[MSCOPE_TEXT_MAX + 128];
    int n = snprintf(words, sizeof words, "band %d: %s", b, v->why);

    if (v->confidence > 0 && n > 0 && (size_t)n < sizeof words)
        snprintf(words + n, sizeof words - (size_t)n, " (confidence %.0f %%)", 100 * v->confidence);
    mscope_paper_say(to, MSCOPE_STYLE_PLAIN, 2, most, words);
}

static void keys(const mscope_look *look, size_t tables, mscope_paper *to)
{
    mscope_paper_add(to, MSCOPE_STYLE_FAINT, "q quit  space %s  s sort: %s%s  ? help", look->paused ? "go on" : "pause",
                     sorts[look->sort].name, tables > 1 ? "  t next table" : "");
    mscope_paper_end(to);
}

static void help(mscope_paper *to)
{
    static const char *const lines[] = {
        "Keys: up and down choose a band, whose verdict is told below the list; s sorts by the next of band, updates,"
        " V, H, zeta; t or tab goes to the next table; space holds the picture; q ends.",
        "p: occurrences per sample, mean over the rows. P: active steps per step. updates: of all rows of the band.",
        "R, V, C: sums of |theta - theta*|^2, |m|^2, <theta - theta*, m>. H1: curvature along the momentum.",
        "retention: how long the buffer remembers. learning: how long learning takes. Both in active updates; delta is"
        " their ratio.",
        "H: eta over its largest stable value; near instability above 0.8, unstable above 1.",
        "zeta: damping of the mean error. Below 0.5 heavy-ball, above 2 sgd-like, between resonant.",
        "V lately: the last 32 records of V on a logarithmic scale, and where it goes.",
        "A number that is not known is -. Any key goes back.",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        mscope_paper_say(to, MSCOPE_STYLE_PLAIN, 2, 0, lines[i]);
}

/* The last lines of the window are the bottom's: blank lines fill what is between. */
static void fill_to(mscope_paper *to, size_t lines)
{
    while (to->lines < lines && !to->failed)
        mscope_paper_end(to);
}

void mscope_picture_draw(const mscope_judged *j, const mscope_coverage *coverage, const mscope_subscriber_stats *stats,
                         const mscope_trails *trails, mscope_look *look, int rows, mscope_paper *to)
{
    const int small = rows < 16, words = small ? 2 : 3;
    size_t i = 0, tables;
    const mscope_latest_table *w = looked_at(j, look, &i, &tables);
    list l;

    if (look->help) {
        help(to);
        return;
    }
    if (w == NULL) {
        mscope_paper_say(to, MSCOPE_STYLE_PLAIN, 0, 0, "momentscoped is there; no trainer has a table yet");
        return;
    }
    title(&w->table.record.u.table, look, tables, to);
    verdict(j, words, to);
    if (!small)
        together(j, i, to);
    troubles(j, i, coverage, stats, to);
    collect(j, i, look->sort, &l);
    if (look->chosen >= l.n)
        look->chosen = l.n > 0 ? l.n - 1 : 0;
    const int room = rows - (int)to->lines - 1 - words - 1;
    bands(j, i, &l, trails, look, room > 1 ? room : 1, to);
    const int left = rows - (int)to->lines - 1;
    if (l.n > 0 && left > 1)
        chosen_band(j, i, l.band[look->chosen], left < words ? left : words, to);
    fill_to(to, rows > 0 ? (size_t)rows - 1 : 0);
    keys(look, tables, to);
}
