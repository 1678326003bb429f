/* messages.c - sequence numbers and dispatch; protocol/README.md, "Exactly once"
 *
 * A message is judged in this order: header, session, sequence number, table, contents. A refusal up to the sequence
 * number leaves the message unconsumed, and the client sends it again. After that the message is consumed, applied or
 * not, so that one bad message cannot stop a stream.                                                          */
#include "messages.h"

#include <stdio.h>

#include "protocol/refusal.h"
#include "protocol/header.h"
#include "protocol/shm.h"
#include "directions.h"
#include "labels.h"
#include "log.h"
#include "records.h"
#include "sessions.h"
#include "shadow.h"
#include "slices.h"
#include "steps.h"
#include "tables.h"

/* -- answers ---------------------------------------------------------------------------------- */

static mscope_header ack_of(const mscope_engine *e, const mscope_session *ses, const mscope_shadow *s, uint32_t handle)
{
    return (mscope_header){ .kind = MSCOPE_ACK, .session = ses->id, .seq = ses->next - 1, .table = handle,
                            .step = s != NULL ? mscope_table_steps(s->core) : 0,
                            .count = (uint32_t)e->cfg.credit_messages,
                            .flags = s != NULL && !s->exact ? MSCOPE_FLAG_INEXACT : 0 };
}

static void answer_ack(const mscope_engine *e, const mscope_session *ses, const mscope_shadow *s,
                       const mscope_header *h, mscope_answer *out)
{
    mscope_reply *r = &out->at[out->n++];

    r->header = ack_of(e, ses, s, h->table);
    r->body_len = 0;
}

static void answer_error(mscope_engine *e, mscope_shadow *s, const mscope_header *h, const mscope_refusal *why,
                         mscope_answer *out)
{
    mscope_meter *m = s != NULL ? &s->meter : &e->meter;
    mscope_reply *r = &out->at[out->n++];
    int len = mscope_refusal_encode(why, r->body, sizeof r->body);

    r->header = (mscope_header){ .kind = MSCOPE_ERROR, .session = h->session, .seq = h->seq, .table = h->table,
                                 .step = h->step };
    r->body_len = len > 0 ? (size_t)len : 0;
    e->count.refused_messages++;
    if (s != NULL)
        s->refused++;
    m->count++;
    m->last = *why;
    mscope_log(MSCOPE_LOG_DEBUG, "engine", "refused a message: %s is %s, expected %s: %s", why->field, why->value,
               why->range, why->text);
}

static void answer_welcome(mscope_engine *e, const mscope_session *ses, const mscope_shadow *s,
                           const mscope_header *h, mscope_answer *out)
{
    mscope_welcome w = { .epoch = e->epoch, .next_seq = ses->next, .step = mscope_table_steps(s->core),
                         .exact = s->exact, .credit_messages = e->cfg.credit_messages,
                         .credit_bytes = e->cfg.credit_bytes, .shm = e->cfg.shm };
    mscope_reply *r = &out->at[out->n++];
    int len = mscope_welcome_encode(&w, r->body, sizeof r->body);

    r->header = (mscope_header){ .kind = MSCOPE_WELCOME, .session = ses->id, .seq = h->seq, .table = h->table,
                                 .step = w.step, .count = (uint32_t)e->cfg.credit_messages };
    r->body_len = len > 0 ? (size_t)len : 0;
}

/* -- messages --------------------------------------------------------------------------------- */

static int no_parts(size_t n, mscope_refusal *why)
{
    return n == 0 ? 0
                  : mscope_refusal_set(why, MSCOPE_EPROTO, "parts", "0 after the header",
                                       "the message has too many parts", "%zu", n);
}

static void detach_all(mscope_engine *e, uint64_t session)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        if (e->shadows[i].used && e->shadows[i].session == session)
            mscope_shadow_detach(e, &e->shadows[i]);
}

/* -- trainers that go and come back ------------------------------------------------------------ */

int mscope_engine_beat(const mscope_engine *e, unsigned i, uint64_t now_ns, uint64_t quiet_ns, mscope_header *out)
{
    const mscope_session *ses = &e->sessions[i];

    if (ses->id == 0 || ses->left || ses->gone || now_ns - ses->heard_ns < quiet_ns)
        return 0;
    for (uint32_t k = 0; k < e->cfg.max_tables; k++) {
        const mscope_shadow *s = &e->shadows[k];
        if (s->used && s->attached && s->session == ses->id) {
            *out = ack_of(e, ses, s, s->handle);
            return 1;
        }
    }
    return 0;
}

static void set_gone(mscope_engine *e, mscope_session *ses, int gone)
{
    ses->gone = gone;
    for (uint32_t k = 0; k < e->cfg.max_tables; k++) {
        mscope_shadow *s = &e->shadows[k];
        if (!s->used || !s->attached || s->session != ses->id)
            continue;
        s->away = gone;
        s->changed = 1;
        mscope_engine_alert(e, s, gone ? "gone" : "back",
                            gone ? "'%.60s' closed its connection after step %llu without a word: table %s is nobody's "
                                   "until it is heard again"
                                 : "'%.60s' is heard again after step %llu: table %s is its own",
                            s->hello.client, (unsigned long long)mscope_table_steps(s->core), s->hello.table);
    }
}

void mscope_engine_gone(mscope_engine *e, unsigned i)
{
    set_gone(e, &e->sessions[i], 1);
}

static void hear(mscope_engine *e, mscope_session *ses, uint64_t now_ns)
{
    ses->heard_ns = now_ns;
    if (ses->gone)
        set_gone(e, ses, 0);
}

static int on_hello(mscope_engine *e, const mscope_header *h, const mscope_part *f, size_t n, uint64_t now_ns,
                    mscope_refusal *why, mscope_answer *out)
{
    mscope_session *ses = mscope_session_find(e, h->session);
    mscope_shadow *s = NULL;
    mscope_hello hello;
    int err = 0;

    if (n != 1)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "parts", "1 after the header", "HELLO is a header and a map",
                                  "%zu", n);
    err = mscope_hello_decode(f[0].at, f[0].len, &hello, why);
    if (err)
        return err;
    if (ses == NULL && (ses = mscope_session_new(e, now_ns, why)) == NULL)
        return why->code;
    err = mscope_hello_apply(e, h, &hello, now_ns, &s, why);
    if (err)
        return err;
    if (ses->id != h->session) {
        detach_all(e, ses->id);              /* tables of the session that had this place */
        *ses = (mscope_session){ .id = h->session, .next = h->seq };
    }
    if (h->seq > ses->next)                  /* the state file is older than the client's last ACK */
        ses->next = h->seq;
    hear(e, ses, now_ns);
    ses->left = 0;
    answer_welcome(e, ses, s, h, out);
    return 0;
}

static void on_bye(mscope_engine *e, mscope_session *ses)
{
    ses->left = 1;
    detach_all(e, ses->id);
    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        mscope_shadow *s = &e->shadows[i];
        if (s->used && s->session == ses->id && (s->changed || mscope_shadow_moved(s)))
            s->due = mscope_shadow_moved(s) ? MSCOPE_DUE_REGULAR : MSCOPE_DUE_REPEAT;
    }
    e->publishing = 1;                       /* its last records go out now, without waiting for the deadline */
}

static int on_save(mscope_engine *e, mscope_refusal *why)
{
    if (!e->cfg.can_save)
        return mscope_refusal_set(why, MSCOPE_ENOTSUP, "state", "a daemon started with --state FILE",
                                  "this daemon was started without a state file", "no state file");
    e->save_wanted = MSCOPE_SAVE_ASKED;
    return 0;
}

/* An alert in the trainer's words. Alerts and their lines in the log are not for free, so a table has so many between
 * two publications. */
static int on_note(mscope_engine *e, mscope_shadow *s, const mscope_part *f, size_t n, mscope_refusal *why)
{
    enum { NOTES = 64 };
    mscope_note note;
    int err;

    if (n != 1)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "parts", "1 after the header", "NOTE is a header and a map",
                                  "%zu", n);
    if ((err = mscope_note_decode(f[0].at, f[0].len, &note, why)) != 0)
        return err;
    if (s->notes >= NOTES)
        return mscope_refusal_set(why, MSCOPE_EAGAIN, "notes", "64 of a table between two publications",
                                  "too many notes: this one is not passed on", "%u", s->notes + 1);
    s->notes++;
    mscope_engine_alert(e, s, "note", "%s", note.text);
    return 0;
}

/* The contents of a message whose turn it is. */
static int dispatch(mscope_engine *e, mscope_session *ses, mscope_shadow *s, const mscope_header *h,
                    const mscope_part *f, size_t n, mscope_refusal *why)
{
    int err;

    switch (h->kind) {
    case MSCOPE_BYE:
    case MSCOPE_SAVE:
        err = no_parts(n, why);
        if (!err && h->kind == MSCOPE_SAVE)
            err = on_save(e, why);
        else if (!err)
            on_bye(e, ses);
        return err;
    case MSCOPE_STEP:
    case MSCOPE_PROBE:
    case MSCOPE_REFERENCE:
    case MSCOPE_SYNC:
    case MSCOPE_DIRECTION:
    case MSCOPE_NOTE:
    case MSCOPE_LABELS:
        break;
    default:
        return mscope_refusal_set(why, MSCOPE_EINVAL, "kind", "1..10",
                                  "this kind is an answer of the daemon: a client sends kinds 1 to 10", "%u", h->kind);
    }
    if (s == NULL)
        return mscope_refusal_set(why, MSCOPE_ESTATE, "table (handle)", "a handle announced by HELLO",
                                  "this session does not hold such a table, or no longer: say HELLO for it first",
                                  "%u", h->table);
    if (h->kind == MSCOPE_STEP)
        return mscope_step_apply(e, s, h, f, n, why);
    if (h->kind == MSCOPE_PROBE)
        return mscope_probe_apply(s, h, f, n, why);
    if (h->kind == MSCOPE_REFERENCE)
        return mscope_reference_apply(s, h, f, n, why);
    if (h->kind == MSCOPE_LABELS)
        return mscope_labels_apply(s, h, f, n, why);
    if (h->kind == MSCOPE_DIRECTION)
        return mscope_direction_apply(e, s, h, f, n, why);
    if (h->kind == MSCOPE_NOTE)
        return on_note(e, s, f, n, why);
    return mscope_sync_apply(e, s, h, f, n, why);
}

static int check_session(const mscope_header *h, const mscope_session *ses, mscope_refusal *why)
{
    char range[64];

    if (ses == NULL || (ses->left && h->seq >= ses->next))
        return mscope_refusal_set(why, MSCOPE_ESTATE, "session", "a session that said HELLO",
                                  h->kind == MSCOPE_BYE ? "the session has left, or is unknown here: it needs no BYE"
                                                        : "the session has left, or is unknown here: say HELLO again",
                                  "%llu",
                                  (unsigned long long)h->session);
    if (h->seq <= ses->next)
        return 0;
    (void)snprintf(range, sizeof range, "%llu", (unsigned long long)ses->next);
    return mscope_refusal_set(why, MSCOPE_EGAP, "seq", range, "messages before this one are missing: send them again",
                              "%llu", (unsigned long long)h->seq);
}

/* -- shared memory ----------------------------------------------------------------------------- */

/* A ring that the daemon does not have leaves the message unconsumed: the client sends its bodies another way. */
static int find_shm(const mscope_engine *e, const mscope_header *h, const mscope_shm_descriptor *w,
                    const mscope_shm_map **out, mscope_refusal *why)
{
    for (unsigned i = 0; i < MSCOPE_SHM_PLACES; i++) {
        *out = &e->shm[i];
        if ((*out)->at != NULL && (*out)->session == h->session && (*out)->id == w->shm)
            return 0;
    }
    return mscope_refusal_set(why, MSCOPE_ESTATE, "shm", "a ring that this session has open",
                              "this daemon does not have the ring: send the bodies through ZeroMQ", "%llu",
                              (unsigned long long)w->shm);
}

/* The parts that the descriptor stands for. */
static int from_shm(mscope_engine *e, const mscope_shm_map *shm, const mscope_shm_descriptor *w,
                     mscope_part f[MSCOPE_SHM_PARTS], mscope_refusal *why)
{
    int err = mscope_shm_descriptor_check(w, shm->len, why);

    for (unsigned i = 0; i < w->parts && !err; i++) {
        f[i] = (mscope_part){ shm->at + w->part[i].offset, (size_t)w->part[i].len };
        e->count.bytes_in += w->part[i].len;
    }
    return err;
}

static void on_sequenced(mscope_engine *e, const mscope_header *h, int bad, const mscope_part *f, size_t n,
                         uint64_t now_ns, mscope_refusal *why, mscope_answer *out)
{
    mscope_session *ses = mscope_session_find(e, h->session);
    mscope_shadow *s = mscope_shadow_find(e, h->session, h->table);
    const int shm = !bad && (h->flags & MSCOPE_FLAG_SHM) != 0;
    const mscope_shm_map *from = NULL;
    mscope_shm_descriptor where = { 0 };
    mscope_part bodies[MSCOPE_SHM_PARTS];
    int err = check_session(h, ses, why);

    if (ses != NULL)
        hear(e, ses, now_ns);
    if (!err && shm && h->seq == ses->next) {
        bad = n == 1 ? mscope_shm_descriptor_decode(f[0].at, f[0].len, &where, why)
                     : mscope_refusal_set(why, MSCOPE_EPROTO, "parts", "1 after the header",
                                          "a message with SHM is a header and a descriptor", "%zu", n);
        if (!bad)
            err = find_shm(e, h, &where, &from, why);
    }
    if (err) {
        answer_error(e, s, h, why, out);
        return;
    }
    if (h->seq < ses->next) {
        e->count.duplicate_messages++;
        answer_ack(e, ses, s, h, out);
        return;
    }
    if (s != NULL)
        s->heard_ns = now_ns;
    if (shm && !bad)
        bad = from_shm(e, from, &where, bodies, why);
    err = bad ? bad : dispatch(e, ses, s, h, shm ? bodies : f, shm ? where.parts : n, why);
    if (s != NULL && h->kind == MSCOPE_STEP)
        mscope_shadow_stepped(s, h->step, err);
    if (s != NULL && !err && h->count > 0 && (h->kind == MSCOPE_STEP || h->kind == MSCOPE_PROBE))
        s->shm = shm ? 2 : 1;
    ses->next++;
    if (err)
        answer_error(e, s, h, why, out);
    answer_ack(e, ses, s, h, out);
    if (!err && h->kind == MSCOPE_STEP && e->cfg.interval_steps > 0 &&
        mscope_table_steps(s->core) - s->published >= e->cfg.interval_steps)
        mscope_publish_table(e, s, 1);
}

void mscope_engine_message(mscope_engine *e, const mscope_part *parts, size_t n, uint64_t now_ns, mscope_answer *out)
{
    mscope_header h = { 0 };
    mscope_refusal why = { 0 };
    int bad;

    out->n = 0;
    e->count.messages_in++;
    for (size_t i = 0; i < n && i < MSCOPE_MESSAGE_PARTS; i++)
        e->count.bytes_in += parts[i].len;
    if (n == 0)
        bad = mscope_refusal_set(&why, MSCOPE_EPROTO, "header", "64 bytes", "an empty message", "no part");
    else
        bad = mscope_header_read(parts[0].at, parts[0].len, &h, &why);
    if (bad) {
        answer_error(e, NULL, &h, &why, out);
        return;
    }
    bad = mscope_header_check(&h, &why);
    if (h.session == 0 || (bad && h.kind == MSCOPE_HELLO) || (bad && h.seq == 0)) {
        answer_error(e, NULL, &h, &why, out);
        return;
    }
    if (h.kind == MSCOPE_HELLO) {
        if (on_hello(e, &h, parts + 1, n - 1, now_ns, &why, out))
            answer_error(e, NULL, &h, &why, out);
        return;
    }
    on_sequenced(e, &h, bad, parts + 1, n - 1, now_ns, &why, out);
}
