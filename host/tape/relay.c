/* relay.c - sockets of the recorder: a ROUTER for trainers, a DEALER for each of their sessions to the daemon
 *
 * A trainer is known by the session in its headers, whatever connection it comes by. Messages whose header cannot be
 * read share one DEALER of their own, whose connection also tells whether the daemon is there. */
#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "protocol/meet/bind.h"
#include "protocol/meet/guard.h"
#include "protocol/meet/monitor.h"
#include "answer.h"
#include "front.h"
#include "relay_tape.h"

enum { PARTS = 32, SESSIONS = 256, BATCH = 256 };
#define SILENT_NS 10000000000u       /* the daemon's own takeover time: a trainer that crashed says no BYE */
#define BYE_NS 1000000000u           /* a BYE that no daemon answers */

typedef struct line {                /* one connection to the daemon                               */
    void *sock;
    mscope_guard guard;
    int up, ups;
    uint64_t session;                /* 0: the strays'                                             */
    uint8_t peer[256];               /* where its trainer was heard last                           */
    size_t peer_len;
    int left;                        /* said BYE, and the answer has gone back                     */
    uint64_t bye, heard_ns;          /* the BYE's sequence number, 0: none                         */
} line;

typedef struct relay {
    const mscope_relay_config *cfg;
    mscope_front front;
    mscope_relay_tape tape;
    mscope_answerer answer;
    line at[1 + SESSIONS];           /* at[0]: strays                                              */
    unsigned lines;
    uint64_t strays;
    int some_left;                   /* a trainer said BYE whose line is another's now             */
    int told_full, told_refused;
    char told[MSCOPE_OWNER_WHY];     /* why nothing goes on to the daemon, as it was said last     */
} relay;

typedef struct message {
    uint8_t peer[256];
    size_t peer_len;
    zmq_msg_t part[PARTS];
    unsigned n;
} message;

static void say(const relay *r, const char *text, const char *what)
{
    if (!r->cfg->quiet)
        fprintf(stderr, "momentscope record: %s%s\n", text, what);
}

/* -- messages -------------------------------------------------------------------------------------------- */

/* One whole message; parts beyond PARTS are dropped, no message of the protocol has so many. Returns 0 when none waits.
 */
static int receive(void *sock, int from_router, message *m)
{
    int more = 1, len;
    size_t size = sizeof more;

    m->n = 0;
    m->peer_len = 0;
    if (from_router) {
        if ((len = zmq_recv(sock, m->peer, sizeof m->peer, ZMQ_DONTWAIT)) < 0)
            return 0;
        m->peer_len = (size_t)len < sizeof m->peer ? (size_t)len : sizeof m->peer;
        (void)zmq_getsockopt(sock, ZMQ_RCVMORE, &more, &size);
    }
    while (more) {
        zmq_msg_t rest = { { 0 } }, *p = m->n < PARTS ? &m->part[m->n] : &rest;
        (void)zmq_msg_init(p);
        if (zmq_msg_recv(p, sock, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(p);
            break;
        }
        more = zmq_msg_more(p);
        if (m->n < PARTS)
            m->n++;
        else
            (void)zmq_msg_close(&rest);
    }
    return from_router || m->n > 0;
}

static void drop(message *m)
{
    for (unsigned i = 0; i < m->n; i++)
        (void)zmq_msg_close(&m->part[i]);
    m->n = 0;
}

/* Hands the parts over. A message that cannot be sent now is dropped: the trainer keeps it until it is acknowledged. */
static void pass(void *sock, message *m, const uint8_t *peer, size_t peer_len)
{
    int gone = sock == NULL || m->n == 0;

    if (!gone && peer_len > 0)
        gone = zmq_send(sock, peer, peer_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0;
    for (unsigned i = 0; i < m->n; i++)
        if (gone || zmq_msg_send(&m->part[i], sock, ZMQ_DONTWAIT | (i + 1 < m->n ? ZMQ_SNDMORE : 0)) < 0) {
            gone |= i == 0;
            (void)zmq_msg_close(&m->part[i]);
        }
    m->n = 0;
}

static void reply(relay *r, const line *to, const mscope_reply_message *a)
{
    if (zmq_send(r->front.sock, to->peer, to->peer_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(r->front.sock, a->header, sizeof a->header, (a->len > 0 ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) < 0)
        return;                      /* the trainer has gone; it will say HELLO again */
    if (a->len > 0)
        (void)zmq_send(r->front.sock, a->body, a->len, ZMQ_DONTWAIT);
}

/* -- lines to the daemon ---------------------------------------------------------------------------------- */

static void close_line(line *l)
{
    mscope_monitored_close(l->sock);
    mscope_guard_close(&l->guard);
    l->sock = NULL;
}

/* Messages sent before the connection is up go out when it is. A daemon that was restarted refuses messages meant for
 * the old one if it does not know the session, and the trainer sends them again. */
static int open_line(relay *r, line *l)
{
    const int one = 1, none = 0, linger = 200, retry = 50, retry_max = 500;

    l->sock = zmq_socket(r->front.ctx, ZMQ_DEALER);
    if (l->sock == NULL)
        return -1;
    (void)zmq_setsockopt(l->sock, ZMQ_IPV6, &one, sizeof one);
    (void)zmq_setsockopt(l->sock, ZMQ_LINGER, &linger, sizeof linger);
    (void)zmq_setsockopt(l->sock, ZMQ_SNDHWM, &none, sizeof none);     /* the daemon's credit bounds it */
    (void)zmq_setsockopt(l->sock, ZMQ_RCVHWM, &none, sizeof none);
    (void)zmq_setsockopt(l->sock, ZMQ_RECONNECT_IVL, &retry, sizeof retry);
    (void)zmq_setsockopt(l->sock, ZMQ_RECONNECT_IVL_MAX, &retry_max, sizeof retry_max);
    return mscope_guard_open(&l->guard, r->front.ctx, l->sock, r->cfg->forward) != 0 ||
                   zmq_connect(l->sock, r->cfg->forward) != 0
               ? -1 : 0;
}

/* A daemon that came back has perhaps never heard of the session, and what was on its way to the old one is gone. The
 * trainer cannot see that through us: it is told as the daemon would, and says HELLO again. */
static void watch_line(relay *r, line *l)
{
    enum mscope_guard_event what;

    while ((what = mscope_guard_take(&l->guard)) != MSCOPE_GUARD_NONE) {
        const int up = what == MSCOPE_GUARD_UP;
        if (what >= MSCOPE_GUARD_STRANGER && strcmp(r->told, l->guard.why) != 0) {
            say(r, "nothing goes on to the daemon: ", l->guard.why);
            (void)snprintf(r->told, sizeof r->told, "%s", l->guard.why);
        }
        if (l->session == 0 && up != l->up)
            say(r, up ? "the daemon is up: " : "the daemon is gone; trainers wait for it at ", r->cfg->forward);
        l->up = up;
        if (up)
            r->told[0] = '\0';
        if (up && ++l->ups > 1 && l->session != 0) {
            mscope_reply_message a;
            mscope_answer_unknown(l->session, &a);
            reply(r, l, &a);
        }
    }
}

/* A place for one more session: one that was left, a new one, or that of a trainer that is silent as after a crash, the
 * longest of them. NULL: all are in use. */
static line *spare_line(relay *r)
{
    const uint64_t now = mscope_monotonic_ns();
    line *silent = NULL;

    for (unsigned i = 1; i < r->lines; i++) {
        line *l = &r->at[i];
        if (l->left)
            return l;
        if (now - l->heard_ns >= SILENT_NS && (silent == NULL || l->heard_ns < silent->heard_ns))
            silent = l;
    }
    return r->lines < 1 + SESSIONS ? &r->at[r->lines++] : silent;
}

/* The line of a session, connected to the daemon unless that failed. NULL: there is no place. */
static line *line_of(relay *r, uint64_t session)
{
    line *l = NULL;

    for (unsigned i = 1; i < r->lines && l == NULL; i++)
        if (r->at[i].session == session)
            l = &r->at[i];
    if (l == NULL && (l = spare_line(r)) != NULL) {
        close_line(l);
        r->some_left |= l->left;
        memset(l, 0, sizeof *l);
        l->session = session;
    }
    if (l != NULL && l->sock == NULL && r->cfg->forward != NULL && open_line(r, l) != 0) {
        say(r, "no connection for one more trainer: ", zmq_strerror(errno));
        close_line(l);
    }
    return l;
}

/* What a daemon would refuse is not recorded: no reader of the file should meet it. */
static void tell_refused(relay *r, const line *l, const mscope_header *h, const mscope_refusal *why)
{
    mscope_reply_message a;

    if (!r->told_refused)
        fprintf(stderr, "momentscope record: message %llu of a trainer is refused and not recorded: %s is '%s', "
                "expected %s: %s; more of them are only counted\n", (unsigned long long)h->seq, why->field, why->value,
                why->range, why->text);
    r->told_refused = 1;
    if (r->cfg->forward != NULL)             /* the daemon tells the trainer */
        return;
    mscope_answer_refused(h, why, &a);
    reply(r, l, &a);
}

/* -- in both directions -------------------------------------------------------------------------------------- */

static void from_trainer(relay *r, message *m)
{
    mscope_refusal why = { 0 };
    mscope_header h = { 0 };
    const int bad =
        m->n == 0 || mscope_header_decode(zmq_msg_data(&m->part[0]), zmq_msg_size(&m->part[0]), &h, &why) != 0;
    line *l = bad || m->n > MSCOPE_TAPE_PARTS ? NULL : line_of(r, h.session);

    if (l == NULL) {
        r->strays++;
        l = &r->at[0];
    }
    memcpy(l->peer, m->peer, m->peer_len);
    l->peer_len = m->peer_len;
    l->heard_ns = mscope_monotonic_ns();
    if (l->session != 0) {
        l->left = 0;
        if (h.kind == MSCOPE_BYE)
            l->bye = h.seq;
        if (mscope_relay_tape_take(&r->tape, &h, m->part, m->n, &why) != 0)
            tell_refused(r, l, &h, &why);
    }
    if (r->cfg->forward != NULL) {
        pass(l->sock, m, NULL, 0);
        return;
    }
    mscope_reply_message a;
    if (l->session == 0 ? mscope_answer_stray(&why, &a) : mscope_answer(&r->answer, &r->tape, &h, &a))
        reply(r, l, &a);
    l->left = l->session != 0 && h.kind == MSCOPE_BYE;
    drop(m);
}

static void from_daemon(relay *r, line *l, message *m)
{
    mscope_refusal why;
    mscope_header h;

    if (m->n > 0 && mscope_header_decode(zmq_msg_data(&m->part[0]), zmq_msg_size(&m->part[0]), &h, &why) == 0) {
        if (h.kind == MSCOPE_WELCOME && m->n == 2)
            mscope_answer_amend(&r->tape, &h, &m->part[1]);
        l->left |= h.kind == MSCOPE_ACK && l->bye != 0 && h.seq >= l->bye;
    }
    if (l->peer_len > 0)
        pass(r->front.sock, m, l->peer, l->peer_len);
    drop(m);
}

/* A trainer has left with BYE, and no other is there. */
static int everybody_left(const relay *r)
{
    const uint64_t now = mscope_monotonic_ns();
    int some = r->some_left;

    for (unsigned i = 1; i < r->lines; i++) {
        const line *l = &r->at[i];
        const int left = l->left || (l->bye != 0 && now - l->heard_ns > BYE_NS);
        if (!left && now - l->heard_ns < SILENT_NS)
            return 0;
        some |= left;
    }
    return some;
}

/* -- the loop ------------------------------------------------------------------------------------------------ */

/* Where nothing but keys says who is there, keys there must be; on this machine the owner of the socket says it. */
static int check_forward(const relay *r, mscope_refusal *why)
{
    const char *const to = r->cfg->forward;
    char text[MSCOPE_OWNER_WHY];
    int rc;

    if (to == NULL || r->cfg->keys != NULL)
        return 0;
    if (strncmp(to, "tcp://", 6) == 0 && !mscope_bind_local(to))
        return mscope_relay_refuse(why, MSCOPE_EINVAL, "forward", "an address of this machine, or --keys",
                                   "without keys anybody on the way could read the weights, or take the daemon's "
                                   "place: give --keys (momentscope keys new), or use a tunnel", to);
    rc = mscope_owner_connect(to, text);
    return rc == 0 ? 0 : mscope_relay_refuse(why, rc, "forward", "a daemon of this user or of root", text, to);
}

static int stop_asked(int fd)
{
    struct signalfd_siginfo si;

    return read(fd, &si, sizeof si) == (ssize_t)sizeof si;
}

static void serve(relay *r, const zmq_pollitem_t *items, unsigned lines)
{
    message m;

    if (items[1].revents & ZMQ_POLLIN)
        for (int i = 0; i < BATCH && receive(r->front.sock, 1, &m); i++)
            from_trainer(r, &m);
    for (unsigned i = 0; i < lines; i++) {
        if (r->at[i].sock == NULL)
            continue;
        watch_line(r, &r->at[i]);
        for (int k = 0; k < BATCH && receive(r->at[i].sock, 0, &m); k++)
            from_daemon(r, &r->at[i], &m);
        if (r->at[i].left)
            close_line(&r->at[i]);           /* to it every trainer that ever came would cost four descriptors */
    }
}

/* Without a daemon nothing is received while the buffer is full: the trainer sends no more than its credit, and does
 * not wait. */
static const char *loop(relay *r, int signal_fd)
{
    zmq_pollitem_t items[2 + 2 * (1 + SESSIONS)];

    for (;;) {
        const int listen = r->cfg->forward != NULL || mscope_relay_tape_room(&r->tape);
        int n = 2;
        items[0] = (zmq_pollitem_t){ NULL, signal_fd, ZMQ_POLLIN, 0 };
        items[1] = (zmq_pollitem_t){ r->front.sock, 0, listen ? ZMQ_POLLIN : 0, 0 };
        const unsigned lines = r->cfg->forward != NULL ? r->lines : 0;
        for (unsigned i = 0; i < lines; i++)
            if (r->at[i].sock != NULL) {
                items[n++] = (zmq_pollitem_t){ r->at[i].sock, 0, ZMQ_POLLIN, 0 };
                items[n++] = (zmq_pollitem_t){ r->at[i].guard.mon, 0, ZMQ_POLLIN, 0 };
            }
        (void)zmq_poll(items, n, listen ? 250 : 5);
        if (stop_asked(signal_fd))
            return "a signal";
        serve(r, items, lines);
        const char *limit = mscope_relay_tape_limit(&r->tape);
        if (limit != NULL && r->cfg->forward == NULL)
            return limit;
        if (limit != NULL && !r->told_full) {
            r->told_full = 1;
            if (mscope_relay_tape_failed(&r->tape)) {
                fprintf(stderr,
                        "momentscope record: %s: %s; messages go on to the daemon and are lost to the recording\n",
                        r->cfg->file, limit);
            } else {
                say(r, limit, "; the recording is closed, messages go on to the daemon");
                mscope_relay_tape_close(&r->tape);
            }
        }
        if (everybody_left(r) && !r->cfg->stay)
            return limit != NULL ? limit : "every trainer has left";
    }
}

static void close_all(relay *r)
{
    for (unsigned i = 0; i < r->lines; i++)
        close_line(&r->at[i]);
    mscope_front_close(&r->front);
}

int mscope_relay_run(const mscope_relay_config *cfg, int signal_fd, mscope_relay_result *out, mscope_refusal *why)
{
    relay *r = calloc(1, sizeof *r);
    int rc = 0;

    memset(out, 0, sizeof *out);
    if (r == NULL)
        return mscope_relay_refuse(why, MSCOPE_ENOMEM, "memory", "enough", "for a recorder", "none");
    r->cfg = cfg;
    r->lines = 1;
    mscope_answerer_init(&r->answer);
    rc = check_forward(r, why);
    if (rc == 0)
        rc = mscope_front_open(&r->front, cfg, why);
    if (rc == 0 && cfg->forward != NULL && open_line(r, &r->at[0]) != 0)
        rc = mscope_relay_refuse(why, MSCOPE_EINVAL, "forward", "ipc://PATH or tcp://HOST:PORT, and keys that fit",
                                 r->at[0].guard.why[0] != '\0' ? r->at[0].guard.why : zmq_strerror(errno),
                                 cfg->forward);
    if (rc == 0)
        rc = mscope_relay_tape_open(&r->tape, cfg, why);
    if (rc == 0) {
        say(r, "trainers attach at ", cfg->ingest);
        if (cfg->forward == NULL)
            say(r, "nothing is monitored, trainers are answered here; --forward names a daemon",
                "");
        out->ended = loop(r, signal_fd);
        out->strays = r->strays;
        out->failed = mscope_relay_tape_finish(&r->tape, out);
    }
    close_all(r);
    free(r);
    return rc;
}
