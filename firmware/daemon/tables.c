/* tables.c - see tables.h; protocol/README.md 1.10 has the rules */
#include "tables.h"

#include <stdio.h>
#include <string.h>

#include "protocol/refusal.h"
#include "directions.h"
#include "fill.h"
#include "labels.h"
#include "log.h"
#include "records.h"
#include "sessions.h"
#include "shadow.h"

static const char *const states[] = { "f32", "mixed", "f64" };

static mscope_shadow *find_name(mscope_engine *e, const char *name)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        if (e->shadows[i].used && strcmp(e->shadows[i].hello.table, name) == 0)
            return &e->shadows[i];
    return NULL;
}

static int same_shape(const mscope_hello *x, const mscope_hello *y)
{
    return x->rows == y->rows && x->dim == y->dim && x->capacity == y->capacity && x->state == y->state &&
           x->form == y->form && x->nesterov == y->nesterov && x->acf_rows == y->acf_rows &&
           x->width == y->width && strcmp(x->optimizer, y->optimizer) == 0 &&
           (x->reference[0] != '\0') == (y->reference[0] != '\0');
}

/* A table whose session is not silent cannot be taken over. */
static int check_holder(mscope_engine *e, const mscope_shadow *s, uint64_t session, uint64_t now_ns,
                        mscope_refusal *why)
{
    const mscope_session *holder;
    char range[64];
    double silent;

    if (s == NULL || s->session == session || !s->attached)
        return 0;
    holder = mscope_session_find(e, s->session);
    if (mscope_session_silent(e, holder, now_ns))
        return 0;
    silent = (double)(now_ns - holder->heard_ns) / 1e9;
    (void)snprintf(range, sizeof range, "a free name, or a holder silent for %.3g s",
                   (double)e->cfg.takeover_ns / 1e9);
    return mscope_refusal_set(why, MSCOPE_EBUSY, "table", range, "another trainer holds a table of this name",
                              "%.20s, heard %.3g s ago", s->hello.table, silent);
}

/* A free place, or the place of the table idle longest among those whose owner left or has been silent for the takeover
 * time. */
static mscope_shadow *free_slot(mscope_engine *e, uint64_t session, uint64_t now_ns, mscope_refusal *why)
{
    mscope_shadow *idle = NULL;
    char range[64];

    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        mscope_shadow *s = &e->shadows[i];
        if (!s->used)
            return s;
        if (s->attached &&
            (s->session == session || !mscope_session_silent(e, mscope_session_find(e, s->session), now_ns)))
            continue;
        if (idle == NULL || s->heard_ns < idle->heard_ns)
            idle = s;
    }
    if (idle != NULL)
        return idle;
    (void)snprintf(range, sizeof range, "at most %u tables (--max-tables)", e->cfg.max_tables);
    (void)mscope_refusal_set(why, MSCOPE_ENOMEM, "table", range,
                             "every place for a table is taken by a trainer that is active", "%u tables",
                             e->cfg.max_tables);
    return NULL;
}

/* Publish the last records of a table before another one takes its place. */
static void make_room(mscope_engine *e, mscope_shadow *s, const char *newcomer, uint64_t now_ns)
{
    double idle = (double)(now_ns - s->heard_ns) / 1e9;

    s->changed |= s->attached;
    s->attached = 0;
    mscope_shadow_publish_last(e, s);
    mscope_engine_alert(e, s, "dropped", "table %s of '%.40s', idle for %.3g s, was dropped to make room for %s: all "
                        "%u places were taken", s->hello.table, s->hello.client, idle, newcomer, e->cfg.max_tables);
}

static int make(mscope_engine *e, mscope_shadow *at, const mscope_hello *hello, uint64_t now_ns, mscope_refusal *why)
{
    mscope_shadow fresh;
    int err = mscope_shadow_open(e, &fresh, hello, e->cfg.history, at->used ? at->mem_len : 0, why);

    if (err)
        return err;
    if (at->used && strcmp(at->hello.table, hello->table) == 0) {
        mscope_shadow_publish_last(e, at);
        mscope_shadow_dropped(e, at, &fresh);
        mscope_log(MSCOPE_LOG_WARN, "engine", "table %s starts over: its shape changed, or its trainer began again",
                   hello->table);
    } else if (at->used) {
        make_room(e, at, hello->table, now_ns);
        mscope_shadow_dropped(e, at, &fresh);
    }
    mscope_shadow_close(e, at);
    *at = fresh;
    return 0;
}

/* The table stays and its owner changes: its rows are the old trainer's until SYNC. */
static int change_owner(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello, mscope_refusal *why)
{
    uint64_t gap = hello->step - mscope_table_steps(s->core);
    int err = gap > 0 ? mscope_table_seek(s->core, hello->step) : 0;

    if (err)
        return mscope_refusal_set(why, err, "step", "a step that the table can move to", mscope_strerror(err), "%llu",
                                  (unsigned long long)hello->step);
    if (strcmp(s->hello.reference, hello->reference) != 0)
        s->referenced = 0;
    s->refused_step = 0;
    s->not_finite = 0;
    mscope_direction_forget(s);
    mscope_labels_forget(s);
    mscope_shadow_inexact(e, s, gap);
    return 0;
}

static void tell_attached(mscope_engine *e, const mscope_shadow *s, int taken)
{
    const mscope_hello *h = &s->hello;

    if (taken)
        mscope_engine_alert(e, s, "takeover", "'%s' takes table %s over from a trainer that has been silent", h->client,
                            h->table);
    mscope_engine_alert(e, s, "attached", "'%.60s': %u rows x %u, %s state, %s form, step %llu, kernel %s%s", h->client,
                        h->rows, h->width > 0 ? h->width : h->dim, states[h->state], mscope_form_name(s),
                        (unsigned long long)mscope_table_steps(s->core), mscope_table_kernel(s->core),
                        s->exact ? "" : "; inexact until SYNC");
}

int mscope_hello_apply(mscope_engine *e, const mscope_header *h, const mscope_hello *hello, uint64_t now_ns,
                       mscope_shadow **out, mscope_refusal *why)
{
    mscope_shadow *s = find_name(e, hello->table), *same = mscope_shadow_find(e, h->session, h->table);
    int own, keep, held, narrow, err;

    if (same != NULL && same != s)
        return mscope_refusal_set(why, MSCOPE_EBUSY, "table (handle)", "a handle that this session does not use yet",
                                  "the handle already names another table", "%u", h->table);
    err = check_holder(e, s, h->session, now_ns, why);
    if (err)
        return err;
    own = s != NULL && s->session == h->session;
    held = s != NULL && !own && s->attached;
    keep = s != NULL && same_shape(&s->hello, hello) &&
           (own || (!hello->fresh && mscope_table_steps(s->core) <= hello->step &&
                    hello->step - mscope_table_steps(s->core) <= MSCOPE_GAP_MAX));
    if (s == NULL && (s = free_slot(e, h->session, now_ns, why)) == NULL)
        return why->code;
    err = !keep ? make(e, s, hello, now_ns, why) : own ? 0 : change_owner(e, s, hello, why);
    if (err)
        return err;
    own = own && keep && s->attached;
    narrow = hello->narrow && !(own && s->hello.narrow);
    s->changed |= s->hello.narrow != hello->narrow;
    s->hello = *hello;
    s->session = h->session;
    s->handle = h->table;
    s->attached = 1;
    s->away = 0;
    s->heard_ns = now_ns;
    if (!own) {
        s->changed = 1;
        tell_attached(e, s, held);
    }
    if (narrow)
        mscope_engine_alert(e, s, "inexact",
                            MSCOPE_FORM_READS(hello->form)
                                ? "silent rows of table %s move in other ways than by decay (weight decay, or a "
                                  "narrower type): it is never published as exact"
                                : "the trainer keeps table %s in a narrower type than the daemon, whose copy drifts "
                                  "between SYNCs: it is never published as exact",
                            s->hello.table);
    *out = s;
    return 0;
}
