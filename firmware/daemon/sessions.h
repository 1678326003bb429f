/* sessions.h - the trainers the daemon knows, and how long each has been silent */
#ifndef MSCOPE_DAEMON_SESSIONS_H
#define MSCOPE_DAEMON_SESSIONS_H

#include "engine.h"

/* mscope_session_find - the session of this number, or NULL; id 0: a free place */
mscope_session *mscope_session_find(mscope_engine *e, uint64_t id);

/* mscope_session_silent - has it said BYE or gone, or not been heard for the takeover time? ses NULL: yes */
int mscope_session_silent(const mscope_engine *e, const mscope_session *ses, uint64_t now_ns);

/* mscope_session_new - a place for one more session. When all are taken it is the place of the session heard longest
 * ago: one that holds no table, else one that is silent. The caller detaches that session's tables.
 * Errors   NULL with *why filled when every session holds a table and none is silent                          */
mscope_session *mscope_session_new(mscope_engine *e, uint64_t now_ns, mscope_refusal *why);

#endif
