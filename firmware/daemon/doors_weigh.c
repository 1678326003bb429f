/* doors_weigh.c - what each connection has under way: parts, bytes, subscriptions (doors_inside.h) */
#include "doors_inside.h"

#include <string.h>

enum {
    PARTS = 64,                          /* of a message; the engine refuses more than 8 in words                */
    PART_BYTES = 64,                     /* what libzmq needs for a part beside its bytes                        */
    COMMAND_BYTES = 8192,
    CURVE_BYTES = 33,                    /* an encrypted frame is so much longer than its contents               */
    FRAMES = 65536,                      /* of one connection that were not taken                                */
    UNKNOWN_BYTES = 1 << 20,             /* not taken of a peer that was not welcomed                            */
    PREFIX_BYTES = 64,                   /* of a subscription, on average                                        */
    UNHEARD = 65536,                     /* subscriptions of all that the publisher has not seen                 */
    MODEST = 1024,                       /* of a connection that is not ended for them                           */
    HOLDERS = 8                          /* subscribers that may have all they are allowed                       */
};

/* The connection with the most of something that is over its limit for all together. */
static int largest(int by_prefixes)
{
    uint64_t most = 0;
    int fd = -1;

    for (size_t i = 0; i < mscope_peers.top; i++) {
        const mscope_door_place *p = &mscope_peers.at[i];
        const uint64_t has = p->door == MSCOPE_DOOR_NONE || p->out ? 0 : by_prefixes ? p->prefixes : p->bytes;
        if (has > most) {
            most = has;
            fd = (int)i;
        }
    }
    return fd;
}

static const char *subscribe(mscope_door_place *p, const mscope_zmtp_frame *f, uint64_t size)
{
    const int command = (f->flags & MSCOPE_ZMTP_COMMAND) != 0;
    const int cancel = !p->wire.curve && (command ? f->size >= 7 && memcmp(f->begin, "\x06" "CANCEL", 7) == 0
                                                  : f->size > 0 && f->begin[0] == 0);
    const uint64_t head = command ? cancel ? 7 : 10 : 1, prefix = size > head ? size - head : 0;

    if (command && !cancel && (f->size < 10 || memcmp(f->begin, "\x09" "SUBSCRIBE", 10) != 0))
        return NULL;                         /* READY, PING */
    if (cancel) {
        const uint64_t freed = prefix < p->prefixes ? prefix : p->prefixes;
        p->subscriptions -= p->subscriptions > 0;
        p->prefixes -= freed;
        mscope_peers.prefixes -= freed;
        return NULL;
    }
    p->asked++;
    if (atomic_fetch_add_explicit(&mscope_peers.unheard, 1, memory_order_relaxed) >= UNHEARD && p->asked > MODEST)
        return "more subscriptions, with those of others, than the daemon can answer";
    p->subscriptions++;
    p->prefixes += prefix;
    mscope_peers.prefixes += prefix;
    if (p->subscriptions > mscope_peers.limit.subscriptions)
        return "more subscriptions than --max-subscriptions";
    return p->prefixes > (uint64_t)mscope_peers.limit.subscriptions * PREFIX_BYTES
               ? "prefixes of more than 64 bytes for each of --max-subscriptions" : NULL;
}

static const char *weigh(mscope_door_place *p, const mscope_zmtp_frame *f, uint64_t size)
{
    const int welcomed = atomic_load_explicit(&p->welcomed, memory_order_relaxed);
    const uint64_t most = welcomed ? mscope_peers.limit.message : UNKNOWN_BYTES;
    const uint64_t costs = size + PART_BYTES;

    if (f->flags & MSCOPE_ZMTP_COMMAND)
        return NULL;
    p->parts++;
    if (p->parts > PARTS)
        return "a message of more than 64 parts";
    if ((f->flags & MSCOPE_ZMTP_MORE) == 0)
        p->parts = 0;
    atomic_fetch_add_explicit(&mscope_peers.flight, costs, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&p->frames, 1, memory_order_relaxed) >= FRAMES)
        return "more than 65536 parts that were not taken yet";
    if (atomic_fetch_add_explicit(&p->bytes, costs, memory_order_relaxed) + costs > most)
        return most == UNKNOWN_BYTES ? "more than 1 MiB before a HELLO was answered"
                                     : "more unacknowledged than its credit and largest message";
    return NULL;
}

typedef struct coming {
    mscope_door_place *at;
    const char *why;                     /* out: what is wrong with it; NULL: nothing                            */
} coming;

static int on_frame(void *context, const mscope_zmtp_frame *f)
{
    coming *c = context;
    mscope_door_place *p = c->at;
    const uint64_t size = p->wire.curve && f->size >= CURVE_BYTES ? f->size - CURVE_BYTES : f->size;

    if ((f->flags & MSCOPE_ZMTP_COMMAND) && f->size > COMMAND_BYTES)
        c->why = "a command of more than 8192 bytes";
    else if (p->door == MSCOPE_DOOR_TELEMETRY)
        c->why = subscribe(p, f, size);
    else
        c->why = weigh(p, f, size);
    return c->why != NULL;
}

const char *mscope_doors_weigh(mscope_door_place *p, const void *bytes, size_t n)
{
    coming c = { p, NULL };

    if (mscope_zmtp_feed(&p->wire, bytes, n, on_frame, &c) != 0)
        return c.why != NULL ? c.why : "bytes that are not ZMTP 3";
    return NULL;
}

/* What all peers hold together is over its limit: the one who holds most goes. */
void mscope_doors_relieve(void)
{
    const uint64_t flight = atomic_load_explicit(&mscope_peers.flight, memory_order_relaxed);
    const uint64_t prefixes = (uint64_t)mscope_peers.limit.subscriptions * PREFIX_BYTES * HOLDERS;
    int fd;

    if (flight > mscope_peers.limit.flight && (fd = largest(0)) >= 0)
        mscope_doors_end(fd, "the most bytes under way, and all together had more than --max-flight");
    if (mscope_peers.prefixes > prefixes && (fd = largest(1)) >= 0)
        mscope_doors_end(fd, "the most subscriptions, and all together had more than 8 times --max-subscriptions");
}

void mscope_doors_taken(int fd, size_t parts, size_t bytes, int welcomed)
{
    mscope_door_place *p = mscope_doors_place_of(fd);

    if (p == NULL || atomic_load_explicit(&p->door, memory_order_relaxed) == MSCOPE_DOOR_NONE)
        return;
    (void)mscope_doors_less(&p->frames, parts);
    (void)mscope_doors_less(&mscope_peers.flight, mscope_doors_less(&p->bytes, bytes + parts * PART_BYTES));
    if (welcomed)
        atomic_store_explicit(&p->welcomed, 1, memory_order_relaxed);
}

/* Some are lost with their connections, so that none waits is worth more than a count. */
void mscope_doors_heard(uint64_t n, int none_waits)
{
    if (none_waits)
        atomic_store_explicit(&mscope_peers.unheard, 0, memory_order_relaxed);
    else
        (void)mscope_doors_less(&mscope_peers.unheard, n);
}
