/* sequence.c - see sequence.h
 *
 * Each topic has a next sequence number. A record below it is a repeat and is passed over. A record above it is held
 * back, with those after it, until the replay endpoint has answered or REPLAY_MS have passed; records still missing
 * then are counted as lost. So received + lost = sent, from the first record seen of a topic to the last, in one epoch
 * of the daemon.
 *
 * A daemon takes few requests at a time, from all listeners together, and a connection that was full for a moment has
 * holes in thousands of topics. So ASKED topics are asked for at a time, and the others wait their turn: at most
 * PATIENCE_MS, and no longer than the replay endpoint answers at all. */
#include "sequence.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "protocol/bytes.h"

enum { REPLAY_MS = 1000, PATIENCE_MS = 10000, BUSY_MS = 20, PAUSE_MS = 100, ASKED = 64, TABLE_FIRST = 256 };

struct mscope_heard_topic {
    char name[MSCOPE_TOPIC_MAX];
    uint64_t epoch, next;                /* next sequence number to give                        */
    uint64_t asked_from;                 /* what it was when replay was asked                   */
    enum hole { WHOLE, WAITS, ASKED_FOR } hole;
    uint64_t since, asked_at;            /* ns: when the hole was seen, and asked for           */
    struct mscope_heard_topic *before, *after;   /* in the queue that it is in                  */
    int opening;                         /* asked for its whole past: what is forgotten is no loss */
    mscope_nodes held;                   /* newer records, ascending                            */
};

static void append(mscope_nodes *l, mscope_node *n)
{
    n->next = NULL;
    if (l->last != NULL)
        l->last->next = n;
    else
        l->first = n;
    l->last = n;
}

static mscope_node *shift(mscope_nodes *l)
{
    mscope_node *n = l->first;

    if (n != NULL && (l->first = n->next) == NULL)
        l->last = NULL;
    return n;
}

static void empty(mscope_nodes *l)
{
    for (mscope_node *n; (n = shift(l)) != NULL;)
        free(n);
}

/* -- topics ----------------------------------------------------------------------------------------- */

static size_t slot_of(const mscope_sequence *s, const char *name)
{
    size_t i = (size_t)mscope_fnv1a(name) & (s->slots - 1);

    while (s->slot[i] != NULL && strcmp(s->slot[i]->name, name) != 0)
        i = (i + 1) & (s->slots - 1);
    return i;
}

static int grow(mscope_sequence *s)
{
    mscope_heard_topic **old = s->slot;
    size_t was = s->slots, now = was ? 2 * was : TABLE_FIRST;
    mscope_heard_topic **slot = calloc(now, sizeof *slot);

    if (slot == NULL)
        return MSCOPE_ENOMEM;
    s->slot = slot;
    s->slots = now;
    for (size_t i = 0; i < was; i++)
        if (old[i] != NULL)
            s->slot[slot_of(s, old[i]->name)] = old[i];
    free(old);
    return 0;
}

static mscope_heard_topic *topic_get(mscope_sequence *s, const char *name, int make)
{
    if (2 * s->topics >= s->slots && grow(s) != 0)
        return NULL;
    size_t i = slot_of(s, name);
    if (s->slot[i] == NULL && make) {
        mscope_heard_topic *t = calloc(1, sizeof *t);
        if (t == NULL)
            return NULL;
        memcpy(t->name, name, strlen(name) + 1);
        s->slot[i] = t;
        s->topics++;
    }
    return s->slot[i];
}

uint64_t mscope_record_epoch(const mscope_record *r)
{
    switch (r->kind) {
    case MSCOPE_REC_BAND: return r->u.band.epoch;
    case MSCOPE_REC_TABLE: return r->u.table.epoch;
    case MSCOPE_REC_ACF: return r->u.acf.epoch;
    case MSCOPE_REC_STABILITY: return r->u.stability.epoch;
    case MSCOPE_REC_DAEMON: return r->u.daemon.epoch;
    case MSCOPE_REC_ALERT: return r->u.alert.epoch;
    }
    return 0;
}

/* -- order ------------------------------------------------------------------------------------------ */

static mscope_holes *queue_of(mscope_sequence *s, const mscope_heard_topic *t)
{
    return t->hole == ASKED_FOR ? &s->asked : &s->waiting;
}

static void move_to(mscope_sequence *s, mscope_heard_topic *t, enum hole hole)
{
    if (t->hole != WHOLE) {
        mscope_holes *q = queue_of(s, t);
        *(t->before != NULL ? &t->before->after : &q->first) = t->after;
        *(t->after != NULL ? &t->after->before : &q->last) = t->before;
        q->n--;
    }
    t->hole = hole;
    if (hole != WHOLE) {
        mscope_holes *q = queue_of(s, t);
        t->before = q->last;
        t->after = NULL;
        *(q->last != NULL ? &q->last->after : &q->first) = t;
        q->last = t;
        q->n++;
    }
}

/* Numbers from t->next to seq will not come. */
static void miss(mscope_sequence *s, mscope_heard_topic *t, uint64_t seq)
{
    if (!t->opening)
        s->stats.lost += seq - t->next;
    t->opening = 0;
}

static void give(mscope_sequence *s, mscope_heard_topic *t, mscope_node *n)
{
    t->next = n->msg.seq + 1;
    s->stats.received++;
    append(&s->ready, n);
}

/* Held records below this number become ready; holes between them are losses. */
static void give_held(mscope_sequence *s, mscope_heard_topic *t, uint64_t below)
{
    while (t->held.first != NULL && t->held.first->msg.seq < below) {
        mscope_node *n = shift(&t->held);
        if (n->msg.seq < t->next) {
            s->stats.repeats++;
            free(n);
            continue;
        }
        miss(s, t, n->msg.seq);
        give(s, t, n);
    }
}

static void release(mscope_sequence *s, mscope_heard_topic *t)
{
    move_to(s, t, WHOLE);
    give_held(s, t, UINT64_MAX);
}

static int ask(mscope_sequence *s, mscope_heard_topic *t)
{
    if (!s->ask(s->to, t->name, t->next))
        return 0;
    t->asked_at = mscope_client_now_ns();
    t->asked_from = t->next;
    move_to(s, t, ASKED_FOR);
    return 1;
}

static int wait_for_replay(mscope_sequence *s, mscope_heard_topic *t)
{
    if (s->ask == NULL)
        return 0;
    t->since = mscope_client_now_ns();
    move_to(s, t, WAITS);
    return 1;
}

static void take_live(mscope_sequence *s, mscope_heard_topic *t, mscope_node *n)
{
    uint64_t seq = n->msg.seq, epoch = mscope_record_epoch(&n->msg.record);

    if (t->epoch != epoch) {                         /* the first of its topic, or the daemon has restarted */
        release(s, t);
        if (s->epoch != epoch)
            s->stats.epochs++;
        s->epoch = t->epoch = epoch;
        t->opening = s->past && s->ask != NULL;
        t->next = t->opening ? 0 : seq;
    }
    if (seq < t->next || (t->held.last != NULL && seq <= t->held.last->msg.seq)) {
        s->stats.repeats++;
        free(n);
    } else if (t->hole != WHOLE || (seq > t->next && wait_for_replay(s, t))) {
        append(&t->held, n);
    } else {
        miss(s, t, seq);
        give(s, t, n);
    }
}

static void take_replayed(mscope_sequence *s, mscope_heard_topic *t, mscope_node *n)
{
    uint64_t seq = n->msg.seq;

    if (t->hole == WHOLE || mscope_record_epoch(&n->msg.record) != t->epoch) {
        free(n);                                     /* too late */
        return;
    }
    give_held(s, t, seq);
    if (seq < t->next || (t->held.first != NULL && seq == t->held.first->msg.seq)) {
        free(n);                                     /* known already */
        return;
    }
    miss(s, t, seq);                                 /* the daemon has forgotten older ones */
    s->stats.replayed++;
    give(s, t, n);
}

static int longer_than(uint64_t ms, uint64_t since, uint64_t now)
{
    return now > since && now - since > ms * MSCOPE_CLIENT_MS;
}

/* Nothing of replay is there. An endpoint that is silent is given up for all topics, one that is busy for those that
 * waited longest. Time in which the caller did not look, because it was stopped or had no processor, does not count. */
void mscope_sequence_look(mscope_sequence *s)
{
    const uint64_t now = mscope_sequence_waits(s) ? mscope_client_now_ns() : 0;
    int silent = 0;

    if (now == 0)
        return;
    if (longer_than(PAUSE_MS, s->looked_at, now))
        s->back_at = now;
    s->looked_at = now;
    for (mscope_heard_topic *t; (t = s->asked.first) != NULL && longer_than(REPLAY_MS, t->asked_at, now) &&
                          (longer_than(REPLAY_MS, s->back_at, now) || longer_than(PATIENCE_MS, t->asked_at, now));) {
        silent |= s->answered_at < t->asked_at;
        release(s, t);
    }
    while (s->waiting.first != NULL && longer_than(silent ? 0 : PATIENCE_MS, s->waiting.first->since, now))
        release(s, s->waiting.first);
    while (s->waiting.first != NULL && s->asked.n < ASKED && now >= s->not_before)
        if (!ask(s, s->waiting.first))
            release(s, s->waiting.first);
}

/* -- for the caller --------------------------------------------------------------------------------- */

void mscope_sequence_end(mscope_sequence *s, const char *topic, int busy)
{
    mscope_heard_topic *t = topic_get(s, topic, 0);

    s->answered_at = mscope_client_now_ns();
    if (t == NULL || t->hole != ASKED_FOR)
        return;
    if (busy) {
        s->not_before = s->answered_at + BUSY_MS * MSCOPE_CLIENT_MS;
        move_to(s, t, WAITS);
        return;
    }
    while (t->held.first != NULL && t->held.first->msg.seq <= t->next)
        give_held(s, t, t->next + 1);
    if (t->held.first == NULL || t->next == t->asked_from)
        release(s, t);
    else
        (void)wait_for_replay(s, t);                 /* a later hole, which the daemon did not have yet */
}

void mscope_sequence_unread(mscope_sequence *s, const char *topic, uint64_t seq)
{
    mscope_heard_topic *t = topic_get(s, topic, 0);

    if (t != NULL && seq == t->next && t->hole == WHOLE) {
        t->next++;
        s->stats.received++;
    }
}

int mscope_sequence_put(mscope_sequence *s, mscope_node *n, int replayed)
{
    mscope_heard_topic *t = topic_get(s, n->msg.topic, 1);

    if (t == NULL) {
        free(n);
        return MSCOPE_ENOMEM;
    }
    if (replayed)
        take_replayed(s, t, n);
    else
        take_live(s, t, n);
    return 0;
}

int mscope_sequence_waits(const mscope_sequence *s)
{
    return s->asked.n + s->waiting.n > 0;
}

mscope_node *mscope_sequence_take(mscope_sequence *s)
{
    return shift(&s->ready);
}

void mscope_sequence_fini(mscope_sequence *s)
{
    for (size_t i = 0; i < s->slots; i++)
        if (s->slot[i] != NULL) {
            empty(&s->slot[i]->held);
            free(s->slot[i]);
        }
    free(s->slot);
    empty(&s->ready);
    memset(s, 0, sizeof *s);
}
