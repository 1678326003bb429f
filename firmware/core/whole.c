/* whole.c - touch and a whole step, of 64-bit indices: for callers to whom every call is dear
 *
 * The narrowed rows lie in scratch.next. Grouping reads the row of an entry before it writes that entry's next. */
#include "table.h"

static int narrow(mscope_table *t, const int64_t *rows, size_t n)
{
    uint32_t *to = t->scratch.next;
    int bad = 0;

    if (n > t->cfg.capacity || (n && rows == NULL))
        return mscope_check_rows(t, (const uint32_t *)rows, n);
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint32_t)rows[i];
        bad |= (uint64_t)rows[i] >= t->cfg.rows;     /* negative ones are huge */
    }
    for (size_t i = 0; bad && i < n; i++)
        if ((uint64_t)rows[i] >= t->cfg.rows)
            return mscope_refuse(t, MSCOPE_EINDEX, "row", i, (double)rows[i], 0, (double)t->cfg.rows - 1);
    return MSCOPE_OK;
}

int mscope_table_touch64(mscope_table *t, const int64_t *rows, size_t n)
{
    int err = mscope_refuse_open(t, "touch inside a step");

    if (err == 0)
        err = narrow(t, rows, n);
    if (err == 0)
        mscope_catch_up(t, t->scratch.next, 0, n);
    return err;
}

int mscope_table_step64(mscope_table *t, const mscope_step *step, const int64_t *rows, const void *grads, size_t n,
                        size_t *late)
{
    mscope_checked entries;
    int err = mscope_refuse_open(t, "a step inside a step");

    if (err == 0)
        err = narrow(t, rows, n);
    if (err == 0)
        err = mscope_check_entries(t, "gradient", grads, n);
    if (err == 0)
        err = mscope_table_step_begin(t, step);
    if (err)
        return err;
    entries = (mscope_checked){ t->scratch.next, grads, n, t->checks };
    err = mscope_table_apply_checked(t, &entries, NULL);
    if (late)
        *late = t->were_late;
    return err ? err : mscope_table_step_end(t);
}
