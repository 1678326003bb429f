/* relay_tape.c - see relay_tape.h */
#include "relay_tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/refusal.h"

int mscope_relay_refuse(mscope_refusal *why, int code, const char *field, const char *range, const char *text,
                        const char *value)
{
    return mscope_refusal_set(why, code, field, range, text, "%s", value);
}

int mscope_relay_tape_open(mscope_relay_tape *t, const mscope_relay_config *cfg, mscope_refusal *why)
{
    t->cfg = cfg;
    return mscope_tape_create(&t->writer, cfg->file, cfg->buffer_bytes, why);
}

mscope_taped_session *mscope_relay_tape_session(const mscope_relay_tape *t, uint64_t id)
{
    for (size_t i = 0; i < t->sessions; i++)
        if (t->session[i].id == id)
            return &t->session[i];
    return NULL;
}

static mscope_taped_session *new_session(mscope_relay_tape *t, const mscope_header *h)
{
    mscope_taped_session *more = realloc(t->session, (t->sessions + 1) * sizeof *more);

    if (more == NULL)
        return NULL;
    t->session = more;
    more[t->sessions] = (mscope_taped_session){ h->session, h->seq };
    return &more[t->sessions++];
}

static int named(const char *list, const char *name)
{
    const size_t n = strlen(name);

    for (const char *at = list; at != NULL && *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == n && strncmp(at, name, n) == 0)
            return 1;
    return list == NULL;
}

/* -- losses ------------------------------------------------------------------------------------------------ */

static void note_hole(mscope_relay_tape *t)
{
    const int rc = t->hole_first == 0 ? 0 : mscope_tape_lost(t->writer, t->hole_session, t->hole_first, t->hole_last);

    if (rc == 0 || rc == MSCOPE_EIO)         /* then it is noted at the end, with all that could not be written */
        t->hole_first = 0;
}

static void hole(mscope_relay_tape *t, uint64_t session, uint64_t first, uint64_t last)
{
    t->lost += last - first + 1;
    if (t->hole_first != 0 && t->hole_session == session && t->hole_last + 1 == first) {
        t->hole_last = last;
        return;
    }
    note_hole(t);
    t->hole_session = session;
    t->hole_first = first;
    t->hole_last = last;
}

/* -- messages ------------------------------------------------------------------------------------------------ */

/* Is this a message that was not seen before, in its turn? */
static int is_new(mscope_relay_tape *t, const mscope_header *h)
{
    mscope_taped_session *s = mscope_relay_tape_session(t, h->session);

    if (h->kind == MSCOPE_HELLO) {
        if (s == NULL && (s = new_session(t, h)) == NULL)
            return 0;
        if (h->seq > s->next) {              /* the daemon acknowledged it, and it never came here */
            if (t->writer != NULL)
                hole(t, s->id, s->next, h->seq - 1);
            s->next = h->seq;
        }
        return 1;
    }
    if (s == NULL || h->kind >= MSCOPE_WELCOME || h->seq > s->next)
        return 0;                            /* it will come again, in its turn */
    if (h->seq < s->next) {
        t->duplicates++;
        return 0;
    }
    s->next++;
    return 1;
}

/* Are there enough steps of every table? Messages of a table that has them are left out. */
static int past_steps(const mscope_relay_tape *t, const mscope_header *h)
{
    const mscope_recorded_table *x = mscope_contents_find(&t->kept, h->session, h->table);

    return t->cfg->steps > 0 && x != NULL && x->steps >= t->cfg->steps && h->kind != MSCOPE_BYE;
}

static void look_at_limits(mscope_relay_tape *t)
{
    int all = t->cfg->steps > 0 && t->kept.tables > 0;

    for (size_t i = 0; i < t->kept.tables; i++)
        all = all && t->kept.table[i].steps >= t->cfg->steps;
    if (all)
        t->limit = "the steps of --steps are recorded";
}

static int wanted(const mscope_relay_tape *t, const mscope_header *h, const uint8_t *const *part, const size_t *len,
                  unsigned n)
{
    mscope_refusal why;
    mscope_hello hello;

    if (h->kind == MSCOPE_SAVE || past_steps(t, h))
        return 0;
    if (h->kind == MSCOPE_HELLO)
        return n == 2 && mscope_hello_decode(part[1], len[1], &hello, &why) == 0 &&
               named(t->cfg->tables, hello.table) && mscope_contents_find(&t->kept, h->session, h->table) == NULL;
    if (h->kind == MSCOPE_BYE)
        for (size_t i = 0; i < t->kept.tables; i++)
            if (t->kept.table[i].session == h->session)
                return 1;
    return mscope_contents_find(&t->kept, h->session, h->table) != NULL;
}

static void keep(mscope_relay_tape *t, const mscope_header *h, zmq_msg_t *held, const uint8_t *const *part,
                 const size_t *len, unsigned n)
{
    mscope_refusal why;
    uint64_t size = MSCOPE_TAPE_ENTRY;

    for (unsigned i = 0; i < n; i++)
        size += 4 + len[i];
    if (t->cfg->max_bytes > 0 && mscope_tape_bytes(t->writer) + size > t->cfg->max_bytes) {
        t->limit = "the bytes of --max-bytes are reached";
        return;
    }
    note_hole(t);
    const int rc = t->hole_first != 0 ? MSCOPE_EAGAIN : mscope_tape_append(t->writer, held, n);
    if (rc == MSCOPE_EIO) {                  /* the writer counts it; its table's other messages are missing too */
        t->limit = "the file can no longer be written";
        t->failed = 1;
        if (mscope_contents_take(&t->kept, h, part, len, n, &why) != 0)
            return;
    } else if (rc != 0) {
        if (h->kind != MSCOPE_HELLO)         /* a HELLO will be said again, or its steps count as lost */
            hole(t, h->session, h->seq, h->seq);
    } else if (mscope_contents_take(&t->kept, h, part, len, n, &why) == 0) {
        look_at_limits(t);
    }
}

int mscope_relay_tape_take(mscope_relay_tape *t, const mscope_header *h, zmq_msg_t *held, unsigned n,
                           mscope_refusal *why)
{
    const uint8_t *part[MSCOPE_TAPE_PARTS];
    size_t len[MSCOPE_TAPE_PARTS];
    mscope_refusal no;
    int err;

    if (!is_new(t, h))
        return 0;
    for (unsigned i = 0; i < n; i++) {
        part[i] = zmq_msg_data(&held[i]);
        len[i] = zmq_msg_size(&held[i]);
    }
    const int on_tape = t->writer != NULL && (t->limit == NULL || t->failed);
    if ((err = mscope_contents_judge(&t->seen, h, part, len, n, why)) != 0) {
        mscope_contents_refuse(&t->seen, h);
        if (on_tape && wanted(t, h, part, len, n)) {
            hole(t, h->session, h->seq, h->seq);
            mscope_contents_refuse(&t->kept, h);
        }
        return err;
    }
    if (mscope_contents_take(&t->seen, h, part, len, n, &no) != 0)
        return 0;                            /* a HELLO that cannot be read: mscope_answer says so */
    if (on_tape && wanted(t, h, part, len, n))
        keep(t, h, held, part, len, n);
    return 0;
}

/* -- the end --------------------------------------------------------------------------------------------------- */

int mscope_relay_tape_room(const mscope_relay_tape *t)
{
    return t->writer == NULL || mscope_tape_room(t->writer);
}

const char *mscope_relay_tape_limit(const mscope_relay_tape *t)
{
    return t->limit;
}

int mscope_relay_tape_failed(const mscope_relay_tape *t)
{
    return t->failed;
}

/* Only messages that can be read back count as recorded. */
static void count_what_is_there(mscope_relay_tape *t)
{
    mscope_contents there;
    mscope_refusal why;
    mscope_tape tape;

    if (mscope_tape_open(&tape, t->cfg->file, &why) != 0)
        return;
    if (mscope_contents_read(&there, &tape, &why) == 0) {
        mscope_contents_free(&t->kept);
        t->kept = there;
    } else {
        mscope_contents_free(&there);
    }
    mscope_tape_close(&tape);
}

void mscope_relay_tape_close(mscope_relay_tape *t)
{
    mscope_refusal why;

    if (t->writer == NULL)
        return;
    note_hole(t);
    if (mscope_tape_finish(t->writer, t->lost, &t->sum, &why) != 0) {
        fprintf(stderr, "momentscope record: %s: %s; %llu messages are in it, %llu could not be kept\n", why.value,
                why.text, (unsigned long long)t->sum.messages, (unsigned long long)t->sum.lost);
        t->failed = 1;
        count_what_is_there(t);
    }
    t->writer = NULL;
}

int mscope_relay_tape_finish(mscope_relay_tape *t, mscope_relay_result *out)
{
    mscope_relay_tape_close(t);
    out->contents = t->kept;
    out->contents.messages = t->sum.messages;
    out->contents.lost = t->sum.lost;
    out->bytes = t->sum.bytes;
    out->duplicates = t->duplicates;
    out->seen = t->seen;
    free(t->session);
    return t->failed;
}
