/* steps.c - see steps.h: parts are checked whole, then handed to the core
 *
 * The core cannot take a step back once it is open. So everything that it could refuse is checked before anything
 * moves: lengths, indices, counts, and every value against a bound tighter than the core's own (MAGNITUDE,
 * entries.c). */
#include "steps.h"

#include <stdio.h>
#include <string.h>

#include "protocol/refusal.h"
#include "entries.h"
#include "readings.h"
#include "reads.h"
#include "records.h"
#include "shadow.h"

#define SILENT_MAX 65536             /* a longer gap of lost steps is jumped over              */

/* -- steps ------------------------------------------------------------------------------------ */

static int step_refusal(mscope_refusal *why, uint64_t got, uint64_t want, const char *text)
{
    char range[64];

    (void)snprintf(range, sizeof range, "%llu", (unsigned long long)want);
    return mscope_refusal_set(why, MSCOPE_EGAP, "step", range, text, "%llu", (unsigned long long)got);
}

/* A step number that is far too large would move the clock so far that all later steps of an honest trainer were
 * past. */
static int check_gap(const mscope_header *h, uint64_t done, mscope_refusal *why)
{
    char range[64];

    if (h->step <= done || h->step - done - 1 <= MSCOPE_GAP_MAX)
        return 0;
    (void)snprintf(range, sizeof range, "at most %llu", (unsigned long long)(done + 1 + MSCOPE_GAP_MAX));
    return mscope_refusal_set(why, MSCOPE_EGAP, "step", range, "too many steps would be missing before this one",
                              "%llu", (unsigned long long)h->step);
}

/* Run lost steps as silent ones, which say nothing of how often rows are active. The first begin judges the schedule
 * before anything has moved. */
static int run_silent(mscope_shadow *s, const mscope_step *step, uint64_t lost, mscope_refusal *why)
{
    uint64_t to = mscope_table_steps(s->core) + lost, run = lost > SILENT_MAX ? 1 : lost;

    for (uint64_t i = 0; i < run; i++) {
        int err = mscope_table_step_begin(s->core, step);
        if (!err)
            err = mscope_table_step_end(s->core);
        if (err)
            return mscope_core_refusal(s, err, why);
    }
    if (mscope_table_unseen(s->core, run) || (run < lost && mscope_table_seek(s->core, to)))
        return mscope_core_refusal(s, MSCOPE_ESTATE, why);
    return 0;
}

int mscope_step_apply(mscope_engine *e, mscope_shadow *s, const mscope_header *h, const mscope_part *f, size_t n,
                      mscope_refusal *why)
{
    uint64_t done = mscope_table_steps(s->core);
    mscope_cursor c = { f, n, 0, why };
    mscope_step step;
    mscope_entries in;
    int err = mscope_reads(s) ? mscope_reads_in(s, h, &c, &in) : mscope_entries_in(s, h, &c, &in);

    if (!err)
        err = mscope_counts_in(s, h, &c, &in);
    if (!err)
        err = mscope_schedule_in(h, &c, &step);
    if (!err)
        err = mscope_take_end(&c);
    if (!err && h->step <= done)
        err = step_refusal(why, h->step, done + 1, "a step that is already completed");
    if (!err)
        err = check_gap(h, done, why);
    if (err)
        return err;
    mscope_shadow_window(s);
    if (h->step > done + 1) {
        err = run_silent(s, &step, h->step - done - 1, why);
        if (err)
            return err;
        mscope_shadow_inexact(e, s, h->step - done - 1);
    }
    err = mscope_table_step_begin(s->core, &step);
    if (err)
        return mscope_core_refusal(s, err, why);
    err = mscope_table_apply_checked(s->core, &in.checked, in.counts);
    if (err) {                               /* checked above, so the daemon is at fault: report it, keep the clock */
        err = mscope_core_refusal(s, err, why);
        mscope_shadow_inexact(e, s, 1);
    }
    if (mscope_table_step_end(s->core) || (!err && mscope_reads(s) && mscope_reads_put(s, &step, &in, h->count)))
        mscope_shadow_inexact(e, s, 1);
    s->last = step;
    s->stepped = 1;
    e->count.steps_applied += err == 0;
    mscope_shadow_read(e, s);
    return err;
}

/* H m is of the trainer's m. Where the daemon has another one, <m, H m> over its own |m|^2 is no curvature, and nothing
 * bounds it. A difference fades as momentum does: after 12/eps steps e^-12 of it is left. */
static int same_momentum(const mscope_shadow *s)
{
    const double faded = (double)(mscope_table_steps(s->core) - s->doubted) * s->last.eps;

    return !s->other_m || mscope_reads(s) || (s->stepped && faded >= 12.0);
}

int mscope_probe_apply(mscope_shadow *s, const mscope_header *h, const mscope_part *f, size_t n, mscope_refusal *why)
{
    uint64_t done = mscope_table_steps(s->core);
    mscope_cursor c = { f, n, 0, why };
    mscope_entries in;
    int err = mscope_entries_in(s, h, &c, &in);

    if (!err)
        err = mscope_take_end(&c);
    if (!err && h->step != done + 1)
        err = step_refusal(why, h->step, done + 1, "a probe belongs to the next step");
    if (err)
        return err;
    if (!same_momentum(s)) {
        s->unprobed = 1;
        return 0;
    }
    err = mscope_table_probe(s->core, in.rows, in.values, h->count);
    if (err < 0)
        return mscope_core_refusal(s, err, why);
    s->probed = 1;
    s->unprobed = 0;
    return 0;
}

/* -- rows ------------------------------------------------------------------------------------- */

static int check_chunk(const mscope_shadow *s, const mscope_header *h, mscope_refusal *why)
{
    uint64_t end = (uint64_t)h->extra + h->count;
    char range[64];

    if (end > s->hello.rows) {
        (void)snprintf(range, sizeof range, "first + count <= %u", s->hello.rows);
        return mscope_refusal_set(why, MSCOPE_EINDEX, "extra (first row)", range, "rows outside the table", "%u + %u",
                                  h->extra, h->count);
    }
    if ((h->flags & MSCOPE_FLAG_LAST) && end != s->hello.rows) {
        (void)snprintf(range, sizeof range, "LAST only when first + count = %u", s->hello.rows);
        return mscope_refusal_set(why, MSCOPE_EINVAL, "flags", range,
                                  "LAST on a chunk that does not end at the table's last row", "%u + %u", h->extra,
                                  h->count);
    }
    return mscope_check_type(s, h, why);
}

/* A chunk is gone over twice: first every value is checked, then all are stored, so that a bad one changes nothing. */
static int rows_in(mscope_shadow *s, const mscope_header *h, const uint8_t *theta, const uint8_t *m, int store,
                   mscope_refusal *why)
{
    size_t dim = s->hello.dim;
    int f64 = s->hello.state == MSCOPE_STATE_F64, m64 = s->hello.state != MSCOPE_STATE_F32, err = 0;

    for (uint32_t i = 0, k; i < h->count && !err; i += k) {
        k = h->count - i < s->chunk ? h->count - i : s->chunk;
        err = mscope_values_in(s, h, m ? "theta" : "values", theta, i * dim, k * dim, s->values, f64, why);
        if (!err && m != NULL)
            err = mscope_values_in(s, h, "m", m, i * dim, k * dim, s->momenta, m64, why);
        if (err || !store)
            continue;
        err = m != NULL ? mscope_table_rows_set(s->core, h->extra + i, k, s->values, s->momenta)
                        : mscope_table_reference_set(s->core, h->extra + i, k, s->values);
        if (err)
            err = mscope_core_refusal(s, err, why);
    }
    return err;
}

/* Rows 0 .. *covered-1 have arrived in ascending chunks; a chunk from row 0 starts over. */
static void cover(uint32_t *covered, const mscope_header *h)
{
    uint32_t end = h->extra + h->count;

    if (h->extra == 0)
        *covered = h->count;
    else if (h->extra <= *covered && end > *covered)
        *covered = end;
}

int mscope_reference_apply(mscope_shadow *s, const mscope_header *h, const mscope_part *f, size_t n,
                           mscope_refusal *why)
{
    uint64_t done = mscope_table_steps(s->core);
    mscope_cursor c = { f, n, 0, why };
    const uint8_t *values = NULL;
    int err = 0;

    if (s->hello.reference[0] == '\0')
        return mscope_refusal_set(why, MSCOPE_ESTATE, "reference", "a reference announced by HELLO",
                                  "say HELLO with words for `reference` first: \"\" means that there is none", "none");
    err = check_chunk(s, h, why);
    if (!err)
        err = mscope_take(&c, "values", (uint64_t)h->count * s->hello.dim * mscope_value_size(h->value_type), &values);
    if (!err)
        err = mscope_take_end(&c);
    if (!err && h->step != done)
        err = step_refusal(why, h->step, done, "reference rows belong to the completed steps");
    if (!err)
        err = rows_in(s, h, values, NULL, 0, why);
    if (!err)
        err = rows_in(s, h, values, NULL, 1, why);
    if (err)
        return err;
    cover(&s->referenced, h);
    s->climb.placed = 0;
    s->changed |= s->referenced == s->hello.rows;
    return 0;
}

/* A trainer sends the rows of an exact table anew when it changed them otherwise than by steps. One that does so at
 * every step (max_norm) is told of once a publication. */
static void tell_changed(mscope_engine *e, mscope_shadow *s, const mscope_header *h)
{
    if (h->extra != 0 || !s->exact || !s->stepped)
        return;
    if (s->told_changed != s->published + 1)
        mscope_engine_alert(e, s, "changed", "rows of table %s were changed otherwise than by steps: the trainer sends "
                            "all of them anew from step %llu", s->hello.table, (unsigned long long)h->step);
    s->told_changed = s->published + 1;
    if (h->count < s->hello.rows) {
        s->exact = 0;
        s->other_m = 1;
        s->doubted = h->step;
        s->changed = 1;
    }
}

int mscope_sync_apply(mscope_engine *e, mscope_shadow *s, const mscope_header *h, const mscope_part *f, size_t n,
                      mscope_refusal *why)
{
    uint64_t done = mscope_table_steps(s->core), bytes;
    mscope_cursor c = { f, n, 0, why };
    const uint8_t *theta = NULL, *m = NULL;
    int err = check_chunk(s, h, why);

    bytes = (uint64_t)h->count * s->hello.dim * mscope_value_size(h->value_type);
    if (!err)
        err = mscope_take(&c, "theta", bytes, &theta);
    if (!err)
        err = mscope_take(&c, "m", bytes, &m);
    if (!err)
        err = mscope_take_end(&c);
    if (!err && h->step < done)
        err = step_refusal(why, h->step, done, "rows of a step that is past");
    if (!err)
        err = check_gap(h, done, why);
    if (!err)
        err = rows_in(s, h, theta, m, 0, why);
    if (err)
        return err;
    if (h->step > done) {                    /* the steps between were lost */
        mscope_shadow_window(s);
        err = s->stepped ? run_silent(s, &s->last, h->step - done, why) : mscope_table_seek(s->core, h->step);
        if (err)
            return s->stepped ? err : mscope_core_refusal(s, err, why);
        mscope_shadow_inexact(e, s, h->step - done);
    }
    err = rows_in(s, h, theta, m, 1, why);
    if (err)
        return err;
    tell_changed(e, s, h);
    s->climb.placed = 0;
    cover(&s->healed, h);
    if (s->healed < s->hello.rows)
        return 0;
    s->healed = 0;
    s->other_m = 0;
    s->syncs++;
    s->changed |= !s->exact || s->not_finite;
    s->not_finite = 0;
    if (!s->exact) {
        s->exact = 1;
        mscope_engine_alert(e, s, s->hello.narrow ? "inexact" : "exact", "table %s is %s at step %llu", s->hello.table,
                            s->hello.narrow ? "as near as its narrower rows allow" : "exact again",
                            (unsigned long long)h->step);
    }
    return 0;
}
