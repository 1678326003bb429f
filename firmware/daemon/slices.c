/* slices.c - a publication in pieces, so that no message waits for all of it
 *
 * The records of one table are one piece: they describe one step. The daemon's own record closes a publication. */
#include "engine.h"

/* Refusals since the last alert about them, at most one alert a second for each table. */
static void tell_refusals(mscope_engine *e, const mscope_shadow *s, mscope_meter *m, uint64_t now_ns)
{
    if (m->count == 0 || (m->told_ns != 0 && now_ns - m->told_ns < 1000000000u))
        return;
    mscope_engine_alert(e, s, "refused", "%llu frames refused; last: %s is %s, expected %s",
                        (unsigned long long)m->count, m->last.field, m->last.value, m->last.range);
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
        mscope_shadow_publish(e, s, s->due == MSCOPE_DUE_REGULAR);
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
    mscope_publish_begin(e, now_ns, 0, what);
    while (mscope_publish_slice(e, now_ns)) {
        /* the next table */
    }
}
