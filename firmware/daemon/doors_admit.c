/* doors_admit.c - who may have one more connection (doors_inside.h)
 *
 * Where a door is full, the newcomer takes the place of a connection of the peer (process or address) that has most of
 * them, unless that is the newcomer itself: so no peer shuts others out. */
#include "doors_inside.h"

#include <stdio.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

enum { TALLY = 2 * MSCOPE_DOORS_MOST };  /* places to count connections by peer */

static uint32_t tally[TALLY];            /* all zero but during a count         */

/* Names the peer, and returns a number that is the same for all connections of one peer. A process of another PID
 * namespace, such as a container's, has a user and no pid here: all such of a user are one peer. */
uint64_t mscope_doors_who(int fd, char who[64], uid_t *uid)
{
    struct sockaddr_storage a = { 0 };
    struct ucred cred;
    socklen_t len = sizeof cred;
    char text[INET6_ADDRSTRLEN] = "an unknown address";
    uint64_t h = 0xcbf29ce484222325u;

    *uid = geteuid();
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.uid != (uid_t)-1) {    /* -1: not local */
        *uid = cred.uid;
        (void)snprintf(who, 64, "pid %ld of user %lu", (long)cred.pid, (unsigned long)cred.uid);
        return cred.pid > 0 ? (uint64_t)cred.pid << 1 | 1 : (uint64_t)cred.uid << 33 | 1;
    }
    len = sizeof a;
    if (getpeername(fd, (struct sockaddr *)&a, &len) == 0)
        (void)inet_ntop(a.ss_family, a.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&a)->sin_addr
                                                            : (void *)&((struct sockaddr_in6 *)&a)->sin6_addr,
                        text, sizeof text);
    (void)snprintf(who, 64, "%s", text);
    for (const char *c = text; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 0x100000001b3u;
    return h << 1;
}

static uint32_t *tally_of(uint64_t peer)
{
    return &tally[(peer * 0x9E3779B97F4A7C15u >> 32) % TALLY];
}

/* Room for one more connection in this set (MSCOPE_DOOR_NONE: through all doors) of a peer: one of the peer with the
 * most is ended, if that is two more than the newcomer has; best one that was not welcomed. Peers that share a place
 * of the tally count as one. */
static int make_room(enum mscope_door set, uint64_t peer)
{
    uint32_t most = 0;
    int fd = -1, status = -1;

    for (size_t i = 0; i < mscope_peers.top; i++) {
        const mscope_door_place *p = &mscope_peers.at[i];
        if (p->door != MSCOPE_DOOR_NONE && !p->out && (set == MSCOPE_DOOR_NONE || p->door == (int)set) &&
            ++*tally_of(p->peer) > most)
            most = *tally_of(p->peer);
    }
    if (most > *tally_of(peer) + 1)
        for (size_t i = 0; i < mscope_peers.top; i++) {
            const mscope_door_place *p = &mscope_peers.at[i];
            if (p->door != MSCOPE_DOOR_NONE && !p->out && (set == MSCOPE_DOOR_NONE || p->door == (int)set) &&
                *tally_of(p->peer) == most && (fd < 0 || !p->welcomed))
                fd = (int)i;
        }
    if (fd >= 0) {
        mscope_doors_end(fd, "the most connections, and another peer needed a place");
        status = 0;
    }
    for (size_t i = 0; i < mscope_peers.top; i++)
        *tally_of(mscope_peers.at[i].peer) = 0;
    return status;
}

const char *mscope_doors_admit(int fd, enum mscope_door door, uint64_t peer, uid_t uid)
{
    if (!mscope_peers.limit.anybody && uid != geteuid() && uid != 0)
        return "a process of another user, and there is no --allow-users";
    if ((size_t)fd >= mscope_peers.n)
        return "there were no descriptors left for it (ulimit -n)";
    if (mscope_peers.in[door] >= (mscope_peers.limit.connections + 1) / 2 && make_room(door, peer) != 0)
        return "it has most of the connections that one socket may have (half of --max-connections)";
    if (mscope_peers.in[0] >= mscope_peers.limit.connections && make_room(MSCOPE_DOOR_NONE, peer) != 0)
        return "it has most of the connections that --max-connections allows";
    return NULL;
}

void mscope_doors_enter(int fd, enum mscope_door door, const char *who, uint64_t peer)
{
    mscope_door_place *p = &mscope_peers.at[fd];

    p->out = 0;
    p->parts = 0;
    p->subscriptions = p->prefixes = p->asked = 0;
    p->wire = (mscope_zmtp){ 0 };
    atomic_store_explicit(&p->frames, 0, memory_order_relaxed);
    atomic_store_explicit(&p->bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&p->welcomed, 0, memory_order_relaxed);
    mscope_peers.top = (size_t)fd + 1 > mscope_peers.top ? (size_t)fd + 1 : mscope_peers.top;
    p->peer = peer;
    (void)snprintf(p->who, sizeof p->who, "%s", who);
    mscope_peers.in[door]++;
    mscope_peers.in[0]++;
    atomic_store_explicit(&mscope_peers.connections, mscope_peers.in[0], memory_order_relaxed);
    atomic_store_explicit(&p->door, door, memory_order_relaxed);
}
