/* doors_turn.c - connections that are turned away: ended, and told of (doors_inside.h) */
#include "doors_inside.h"

#include <stdio.h>

#include <sys/socket.h>

#include "ring.h"

enum { EVENTS = 64 };

mscope_doors_peers mscope_peers;

static mscope_ring events, refusals;     /* of libzmq's thread, and of the doorman */
static mscope_turned event[EVENTS], refusal[EVENTS];

int mscope_doors_tell_open(void)
{
    return mscope_ring_init(&events, event, sizeof event[0], EVENTS) != 0 ||
                   mscope_ring_init(&refusals, refusal, sizeof refusal[0], EVENTS) != 0 ? MSCOPE_ENOMEM : 0;
}

static void tell(mscope_ring *to, enum mscope_door door, const char *who, const char *why)
{
    mscope_turned *t = mscope_ring_reserve(to);

    atomic_fetch_add_explicit(&mscope_peers.turned, 1, memory_order_relaxed);
    if (t == NULL)
        return;
    t->door = door;
    t->why = why;
    (void)snprintf(t->who, sizeof t->who, "%s", who);
    mscope_ring_commit(to);
}

void mscope_doors_note(enum mscope_door door, const char *who, const char *why)
{
    tell(&events, door, who, why);
}

void mscope_doors_refused(enum mscope_door door, const char *who, const char *why)
{
    tell(&refusals, door, who, why);
}

uint64_t mscope_doors_less(_Atomic uint64_t *of, uint64_t by)
{
    uint64_t was = atomic_load_explicit(of, memory_order_relaxed), take;

    do
        take = by < was ? by : was;
    while (!atomic_compare_exchange_weak_explicit(of, &was, was - take, memory_order_relaxed, memory_order_relaxed));
    return take;
}

/* Its bytes may still be in a queue, but nothing can be added any more. */
void mscope_doors_forget(mscope_door_place *p)
{
    const int door = atomic_load_explicit(&p->door, memory_order_relaxed);

    if (p->out)
        return;
    p->out = 1;
    mscope_peers.in[door]--;
    mscope_peers.in[0]--;
    mscope_peers.prefixes -= p->prefixes;
    p->prefixes = 0;
    (void)mscope_doors_less(&mscope_peers.flight, atomic_exchange_explicit(&p->bytes, 0, memory_order_relaxed));
    atomic_store_explicit(&mscope_peers.connections, mscope_peers.in[0], memory_order_relaxed);
}

void mscope_doors_end(int fd, const char *why)
{
    mscope_door_place *p = &mscope_peers.at[fd];

    mscope_doors_note((enum mscope_door)p->door, p->who, why);
    mscope_doors_forget(p);
    (void)shutdown(fd, SHUT_RDWR);
}

int mscope_doors_next(mscope_turned *out)
{
    mscope_ring *const from[] = { &events, &refusals };

    for (int i = 0; i < 2; i++) {
        const mscope_turned *t = from[i]->slots != NULL ? mscope_ring_peek(from[i]) : NULL;
        if (t == NULL)
            continue;
        *out = *t;
        mscope_ring_release(from[i]);
        return 1;
    }
    return 0;
}

void mscope_doors_count(uint64_t *turned, uint64_t *now)
{
    *turned = atomic_load_explicit(&mscope_peers.turned, memory_order_relaxed);
    *now = atomic_load_explicit(&mscope_peers.connections, memory_order_relaxed);
}

const char *mscope_doors_name(enum mscope_door door)
{
    static const char *const names[MSCOPE_DOORS] = { "a socket", "ingest", "telemetry", "replay" };

    return names[door];
}
