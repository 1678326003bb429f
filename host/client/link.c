/* link.c - one DEALER socket: open, watch its connection, take in answers, send within credit
 *
 * The connection has three states: down, up (HELLO said, answers awaited), established (every table welcomed or
 * refused). Messages leave only when it is established, so a WELCOME's next_seq covers everything sent before it. Every
 * doubt (new connection, unknown session, hole in the sequence) is settled in the same way: say HELLO again and resume
 * where the WELCOME asks. A monitor socket reports new connections; ZMQ_IMMEDIATE keeps messages out of dead pipes.
 * protocol/README.md, section 1. */
#include "link.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "dialog.h"
#include "protocol/refusal.h"
#include "protocol/meet/monitor.h"
#include "room.h"
#include "send.h"

enum { ALONE_MS = 10000, LOOK_MESSAGES = 4, LOOK_MS = 1000, ANSWER_MAX = 65536 };

/* -- opening and closing ---------------------------------------------------------------------------- */

/* When libzmq's thread wakes up it should take spare cycles, not the trainer's core: SCHED_BATCH threads do not
 * preempt. libzmq aborts when the system refuses the policy, so this thread tries it first and goes back to its own. */
static void be_polite(void *ctx)
{
    const struct sched_param none = { 0 };

    if (sched_getscheduler(0) != SCHED_OTHER || sched_setscheduler(0, SCHED_BATCH, &none) != 0)
        return;
    if (sched_setscheduler(0, SCHED_OTHER, &none) == 0)
        zmq_ctx_set(ctx, ZMQ_THREAD_SCHED_POLICY, SCHED_BATCH);
}

int mscope_link_open(mscope_client *c)
{
    const int one = 1, none = 0, retry = 100, retry_max = 1000, queue = 100000;
    const int64_t answer = ANSWER_MAX;
    int rc = mscope_room_check(3);

    if (rc != 0)
        return rc;
    if ((c->ctx = zmq_ctx_new()) == NULL)
        goto io;
    zmq_ctx_set(c->ctx, ZMQ_BLOCKY, 0);
    be_polite(c->ctx);
    c->sock = zmq_socket(c->ctx, ZMQ_DEALER);
    if (c->sock == NULL)
        goto io;
    zmq_setsockopt(c->sock, ZMQ_IMMEDIATE, &one, sizeof one);
    zmq_setsockopt(c->sock, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(c->sock, ZMQ_SNDHWM, &none, sizeof none);    /* credit bounds it */
    zmq_setsockopt(c->sock, ZMQ_RCVHWM, &queue, sizeof queue);
    zmq_setsockopt(c->sock, ZMQ_MAXMSGSIZE, &answer, sizeof answer);
    zmq_setsockopt(c->sock, ZMQ_RECONNECT_IVL, &retry, sizeof retry);
    zmq_setsockopt(c->sock, ZMQ_RECONNECT_IVL_MAX, &retry_max, sizeof retry_max);
    if ((rc = mscope_guard_open(&c->guard, c->ctx, c->sock, c->endpoint.address)) != 0) {
        rc = mscope_why_keys(&c->endpoint, rc, c->guard.why);
        mscope_link_close(c);
        return rc;
    }
    if ((rc = mscope_endpoint_connect(&c->endpoint, c->sock)) != 0) {
        mscope_link_close(c);
        return rc;
    }
    return 0;
io:
    mscope_link_close(c);
    return mscope_refusal_set(mscope_why(), MSCOPE_EIO, "ZeroMQ", "a context and its sockets",
                              "ZeroMQ could make none", "%s", zmq_strerror(errno));
}

void mscope_link_close(mscope_client *c)
{
    mscope_monitored_close(c->sock);
    mscope_guard_close(&c->guard);
    if (c->ctx != NULL)
        zmq_ctx_term(c->ctx);
    c->sock = c->ctx = NULL;
}

/* -- taking in and sending ------------------------------------------------------------------------- */

/* Nobody is sent anything whom the guard has not let pass. */
static void turn_away(mscope_client *c, enum mscope_guard_event what)
{
    mscope_refusal *why = mscope_why();

    if (what == MSCOPE_GUARD_STRANGER)
        (void)mscope_why_owner(&c->endpoint, c->guard.why);
    else
        (void)mscope_why_keys(&c->endpoint, MSCOPE_EIO, c->guard.why);
    mscope_refusal_note(c, "nothing is sent to this daemon:", why);
}

static void watch_connection(mscope_client *c)
{
    enum mscope_guard_event what;

    while ((what = mscope_guard_take(&c->guard)) != MSCOPE_GUARD_NONE) {
        c->up = what == MSCOPE_GUARD_UP;
        c->shm.offered = c->shm.told = c->shm.tries = 0;
        mscope_shm_down(&c->shm, 0);
        mscope_dialog_doubt(c);
        if (what >= MSCOPE_GUARD_STRANGER)
            turn_away(c, what);
        if (c->up && ++c->connections > 1)
            c->stats.reconnects++;
    }
}

/* A wrong address cannot be told from a daemon that is not there yet. */
static void tell_alone(mscope_client *c)
{
    if (c->stats.epoch != 0 || c->stats.errors > 0) {
        c->opened_at = 0;
    } else if (c->opened_at != 0 && c->tables > 0 &&
               mscope_client_now_ns() - c->opened_at > ALONE_MS * MSCOPE_CLIENT_MS) {
        c->opened_at = 0;
        if (!c->quiet)
            fprintf(stderr, "momentscope: no daemon has answered at %s for %d s; training goes on without one. "
                    "Start momentscoped, or set MOMENTSCOPE_INGEST or endpoint to its address\n",
                    c->endpoint.address, ALONE_MS / 1000);
    }
}

static void take_in(mscope_client *c)
{
    watch_connection(c);
    while (mscope_dialog_receive(c))
        ;
    if (c->opened_at != 0)
        tell_alone(c);
    c->looked_at = mscope_client_now_ns();
    if (!c->up)
        return;
    mscope_dialog_hello(c, c->looked_at);
    mscope_shm_pump(c);
}

/* To look for answers takes a dozen system calls, with cold caches in a trainer. While everything is sent and half the
 * buffer is empty nothing depends on the newest answer; a connection that is gone leaves the next message unsent. */
static int worth_a_look(const mscope_client *c)
{
    const mscope_queue *q = &c->queue;

    if (!c->established || q->sent < q->len || q->sent >= LOOK_MESSAGES || q->bytes > c->queue.limit / 2 ||
        (c->shm.mode != MSCOPE_TRANSPORT_ZMQ && c->shm.state != MSCOPE_SHM_UP))
        return 1;
    for (size_t i = 0; i < c->tables; i++) {
        const mscope_client_table *t = &c->table[i];
        if (t->syncing || t->inexact || t->refused || t->ref_next < t->nrefs)
            return 1;
    }
    return mscope_client_now_ns() - c->looked_at > LOOK_MS * MSCOPE_CLIENT_MS;
}

void mscope_link_take(mscope_client *c)
{
    if (worth_a_look(c))
        take_in(c);
}

void mscope_link_send(mscope_client *c)
{
    c->more_to_send = 0;
    if (c->up && c->established && mscope_dialog_some_welcomed(c))      /* else the session is not known there */
        mscope_send_queue(c);
}

void mscope_link_pump(mscope_client *c)
{
    take_in(c);
    mscope_link_send(c);
}

void mscope_link_wait(mscope_client *c, int wait_ms)
{
    zmq_pollitem_t item[3] = { { c->sock, 0, ZMQ_POLLIN, 0 }, { c->guard.mon, 0, ZMQ_POLLIN, 0 },
                               { NULL, c->shm.socket, ZMQ_POLLIN, 0 } };

    if (c->more_to_send || (c->established && c->shm.warming))
        wait_ms = 0;
    if (wait_ms > 10 && c->up && !c->established)
        wait_ms = 10;                        /* a HELLO may be due, or its pipe may not exist yet */
    (void)zmq_poll(item, c->shm.state == MSCOPE_SHM_ASKED ? 3 : 2, wait_ms);
}
