/* slices.c - see slices.h
 *
 * The records of one table are one piece, because they describe one step. The daemon's own record closes a publication.
 *
 * Records are cheap; a pass over the rows is not. Totals stream with a bound on their error. A resum reduces that
 * bound, moves rows that fell silent to rarer bands and computes their rates again. A table of few rows is resummed
 * just before its records, and so is one of some more rows whenever its steps have grown by a fourth. A larger one
 * is published as its totals stand, and a pass over its rows continues in slices after each publication. So the
 * cost of a publication does not depend on the number of rows. */
#include "slices.h"

#include <stdio.h>

#include "labels.h"
#include "records.h"

/* -- resums in slices ------------------------------------------------------------------------- */

/* The rates of a young table change as fast as its steps grow. */
static int at_once(const mscope_shadow *s)
{
    return s->hello.rows <= MSCOPE_AT_ONCE ||
           (s->hello.rows <= MSCOPE_AT_ONCE_YOUNG && 4 * mscope_table_steps(s->core) >= 5 * s->passed);
}

int mscope_resum_wanted(const mscope_engine *e)
{
    return e->resum_ns > 0;
}

void mscope_resum_slice(mscope_engine *e)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        mscope_shadow *s;
        e->turn = (e->turn + 1) % e->cfg.max_tables;
        s = &e->shadows[e->turn];
        if (!s->used || !s->passing)
            continue;
        s->passing = mscope_table_resum_slice(s->core, e->slice_rows) == 0;
        if (!s->passing)
            s->passed = mscope_table_steps(s->core);
        e->slice_full = s->passing;
        return;
    }
    e->resum_ns = 0;
    e->slice_full = 0;
}

/* The next slice has as many rows as the last one would have done in MSCOPE_SLICE_NS. It grows slowly, because
 * rows cost unequally, and shrinks to no less than a fourth at once, because a slice may have been interrupted by
 * other work. */
void mscope_resum_took(mscope_engine *e, uint64_t ns)
{
    double fit = (double)e->slice_rows * MSCOPE_SLICE_NS / (double)(ns > 0 ? ns : 1);

    e->resum_ns -= (int64_t)ns;
    if (!e->slice_full)
        return;
    if (fit > 1.125 * e->slice_rows)
        fit = 1.125 * e->slice_rows;
    if (fit < 0.25 * e->slice_rows)
        fit = 0.25 * e->slice_rows;
    e->slice_rows = fit < 256.0 ? 256 : fit > 1048576.0 ? 1048576 : (uint32_t)fit;
}

/* -- publications ----------------------------------------------------------------------------- */

void mscope_publish_table(mscope_engine *e, mscope_shadow *s, int regular)
{
    if (at_once(s)) {
        if (mscope_table_resum(s->core) != 0)
            return;
        s->passing = 0;
        s->passed = mscope_table_steps(s->core);
    } else if (regular) {
        s->passing = 1;
        e->resum_ns = MSCOPE_RESUM_NS;
    }
    mscope_shadow_publish(e, s, regular);
}

/* An alert about refusals since the last such alert, at most one a second for each table. A gradient or a row that is
 * not finite is a fault of the training run, and has a code of its own. */
static void tell_refusals(mscope_engine *e, const mscope_shadow *s, mscope_meter *m, uint64_t now_ns)
{
    char label[MSCOPE_LABEL_MAX + 4] = "";
    uint32_t row;

    if (m->count == 0 || (m->told_ns != 0 && now_ns - m->told_ns < 1000000000u))
        return;
    /* a refusal is words by now (entries.c): "inf in row 7, column 0" */
    if (s != NULL && m->last.code == MSCOPE_ENONFINITE && sscanf(m->last.value, "%*s in row %u", &row) == 1)
        (void)mscope_label_quoted(s, row, label);
    mscope_engine_alert(e, s, s != NULL && m->last.code == MSCOPE_ENONFINITE ? "overflow" : "refused",
                        "%llu messages refused; the last: %s is %s%s, expected %s", (unsigned long long)m->count,
                        m->last.field, m->last.value, label, m->last.range);
    m->count = 0;
    m->told_ns = now_ns;
}

void mscope_publish_begin(mscope_engine *e, uint64_t now_ns, uint64_t deadline_ns, enum mscope_publish what)
{
    tell_refusals(e, NULL, &e->meter, now_ns);
    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        mscope_shadow *s = &e->shadows[i];
        if (!s->used)
            continue;
        tell_refusals(e, s, &s->meter, now_ns);
        if (what != MSCOPE_PUBLISH_CHANGED && mscope_shadow_moved(s))
            s->due = MSCOPE_DUE_REGULAR;
        else if (s->due == MSCOPE_DUE_NOT && (what == MSCOPE_PUBLISH_ALL || s->changed))
            s->due = MSCOPE_DUE_REPEAT;
    }
    if (deadline_ns != 0)
        e->deadline_ns = deadline_ns;
    e->publishing = 1;
}

int mscope_publish_slice(mscope_engine *e, uint64_t now_ns)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        mscope_shadow *s = &e->shadows[i];
        if (!s->used || s->due == MSCOPE_DUE_NOT)
            continue;
        if (s->due == MSCOPE_DUE_REPEAT || mscope_shadow_moved(s) || s->changed)
            mscope_publish_table(e, s, s->due == MSCOPE_DUE_REGULAR && mscope_shadow_moved(s));
        s->due = MSCOPE_DUE_NOT;
        return 1;
    }
    if (e->deadline_ns != 0)
        mscope_extreme_note(&e->timing.late, now_ns > e->deadline_ns ? now_ns - e->deadline_ns : 0);
    mscope_daemon_record(e, now_ns);
    e->publishing = 0;
    e->deadline_ns = 0;
    return 0;
}

void mscope_engine_publish(mscope_engine *e, uint64_t now_ns, enum mscope_publish what)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        if (e->shadows[i].used && !at_once(&e->shadows[i]) && mscope_table_resum(e->shadows[i].core) != 0)
            return;
    mscope_publish_begin(e, now_ns, 0, what);
    while (mscope_publish_slice(e, now_ns)) {
        /* the next table */
    }
}
