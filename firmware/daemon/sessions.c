/* sessions.c - see sessions.h */
#include "sessions.h"

#include <stdio.h>

#include "protocol/refusal.h"

mscope_session *mscope_session_find(mscope_engine *e, uint64_t id)
{
    for (unsigned i = 0; i < MSCOPE_SESSIONS; i++)
        if (e->sessions[i].id == id)
            return &e->sessions[i];
    return NULL;
}

int mscope_session_silent(const mscope_engine *e, const mscope_session *ses, uint64_t now_ns)
{
    return ses == NULL || ses->left || ses->gone || now_ns - ses->heard_ns >= e->cfg.takeover_ns;
}

static int holds_table(const mscope_engine *e, const mscope_session *ses)
{
    for (uint32_t k = 0; k < e->cfg.max_tables; k++)
        if (e->shadows[k].used && e->shadows[k].attached && e->shadows[k].session == ses->id)
            return 1;
    return 0;
}

mscope_session *mscope_session_new(mscope_engine *e, uint64_t now_ns, mscope_refusal *why)
{
    mscope_session *best = mscope_session_find(e, 0);
    int best_holds = 1;
    char range[64];

    if (best != NULL)
        return best;
    for (unsigned i = 0; i < MSCOPE_SESSIONS; i++) {
        mscope_session *s = &e->sessions[i];
        int holds = holds_table(e, s);
        if (holds && !mscope_session_silent(e, s, now_ns))
            continue;
        if (best == NULL || holds < best_holds || (holds == best_holds && s->heard_ns < best->heard_ns)) {
            best = s;
            best_holds = holds;
        }
    }
    if (best != NULL)
        return best;
    (void)snprintf(range, sizeof range, "at most %d sessions", MSCOPE_SESSIONS);
    (void)mscope_refusal_set(why, MSCOPE_EBUSY, "session", range,
                             "every place for a session is taken by a trainer that is active", "%d sessions",
                             MSCOPE_SESSIONS);
    return NULL;
}
