/* loop.c - see loop.h; the rules of messages are messages.c's */
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <zmq.h>

#include "clock.h"
#include "doors.h"
#include "log.h"
#include "records.h"
#include "slices.h"
#include "store.h"

#define BATCH 256                    /* messages taken before looking at the clock again */
#define ASLEEP_NS 500000000u         /* waking up so late means that the process was stopped */
#define NAP_MS 250                   /* longest wait: a stop that hides in a wait is counted short by at most this */
#define LAST_NS 2000000000u          /* at the end, queued messages are applied for at most this long */

static void wake(const mscope_loop *in)
{
    const uint64_t one = 1;

    if (write(in->wake_fd, &one, sizeof one) < 0) {
        /* the counter is full: the publisher is awake already */
    }
}

static int work_waits(const mscope_loop *in)
{
    return in->engine->publishing || mscope_resum_wanted(in->engine);
}

/* One slice of the publication under way, else of a resum. */
static uint64_t work(mscope_loop *in, uint64_t now)
{
    mscope_timing *t = &in->engine->timing;
    uint64_t end;

    if (!in->engine->publishing) {
        mscope_resum_slice(in->engine);
        end = mscope_clock_ns();
        mscope_resum_took(in->engine, end - now);
    } else {
        if (!mscope_publish_slice(in->engine, now))
            wake(in);
        end = mscope_clock_ns();
    }
    mscope_extreme_note(&t->slice, end - now);
    t->publish_ns += end - now;
    return end;
}

/* When the daemon did not look for input for long, no trainer counts as silent for that time. */
static void slept(const mscope_loop *in, uint64_t from, uint64_t to)
{
    if (to > from + ASLEEP_NS)
        mscope_engine_slept(in->engine, to - from);
}

/* If the process was stopped, all silences are shortened first; only then is the next message judged. */
static int drain(mscope_loop *in, uint64_t *now, uint64_t deadline)
{
    mscope_timing *t = &in->engine->timing;
    size_t head = atomic_load_explicit(&in->engine->ring->head, memory_order_relaxed), was;
    int n = 0;

    while (n < BATCH && (*now < deadline || in->engine->publishing) && mscope_inbox_one(in->inbox, *now)) {
        uint64_t then = *now;
        n++;
        was = head;
        head = atomic_load_explicit(&in->engine->ring->head, memory_order_relaxed);
        if (head != was)                     /* publish the message's records at once */
            wake(in);
        *now = mscope_clock_ns();
        slept(in, then, *now);
        mscope_extreme_note(&t->message, *now - then);
        if (work_waits(in))
            *now = work(in, *now);
        mscope_extreme_note(&t->pause, *now - then);
    }
    mscope_inbox_release(in->inbox);
    return n;
}

/* -- saving ----------------------------------------------------------------------------------- */

static void start_save(mscope_loop *in)
{
    mscope_saver *s = in->saver;

    if (!in->engine->save_wanted || atomic_load_explicit(&s->state, memory_order_acquire) != MSCOPE_SAVER_IDLE)
        return;
    s->quiet = in->engine->save_wanted == MSCOPE_SAVE_TIMED && s->done_before;
    in->engine->save_wanted = MSCOPE_SAVE_NOT;
    if (mscope_saver_fork(s, in->engine) != 0)
        mscope_engine_alert(in->engine, NULL, "save-failed", "cannot start a process that saves the state: %s",
                            strerror(errno));
}

/* Every --state-every seconds, if something came in. */
static void want_save(mscope_loop *in, uint64_t now)
{
    const uint64_t every = (uint64_t)(in->options->state_every * 1e9);

    if (every == 0 || now - in->saved_ns < every)
        return;
    in->saved_ns = now;
    if (in->engine->count.messages_in == in->saved_in)
        return;
    in->saved_in = in->engine->count.messages_in;
    if (in->engine->save_wanted == MSCOPE_SAVE_NOT)
        in->engine->save_wanted = MSCOPE_SAVE_TIMED;
}

static void end_save(mscope_loop *in)
{
    mscope_saver *s = in->saver;
    int state = atomic_load_explicit(&s->state, memory_order_acquire);
    uint64_t n;

    if (state != MSCOPE_SAVER_DONE && state != MSCOPE_SAVER_FAILED)
        return;
    if (read(s->done_fd, &n, sizeof n) < 0) {
        /* `state` has said it already */
    }
    in->engine->count.state_saves += state == MSCOPE_SAVER_DONE;
    s->done_before = state == MSCOPE_SAVER_DONE;
    if (s->done_before && !s->quiet)
        mscope_engine_alert(in->engine, NULL, "saved", "state saved to %.120s, %llu bytes", s->path,
                            (unsigned long long)s->saved->len);
    else if (!s->done_before)
        mscope_engine_alert(in->engine, NULL, "save-failed", "state not saved to %.120s; the log has the reason",
                            s->path);
    atomic_store_explicit(&s->state, MSCOPE_SAVER_IDLE, memory_order_release);
    wake(in);
}

/* -- signals ---------------------------------------------------------------------------------- */

static int on_signal(mscope_loop *in)
{
    struct signalfd_siginfo si;
    int stop = 0;

    while (read(in->signal_fd, &si, sizeof si) == (ssize_t)sizeof si) {
        switch (si.ssi_signo) {
        case SIGHUP:
            if (in->options->log[0] != '\0')
                mscope_log_reopen(in->options->log);
            mscope_log(MSCOPE_LOG_INFO, "main",
                       "SIGHUP: log reopened, every record published again; options are read at start only");
            mscope_publish_begin(in->engine, mscope_clock_ns(), 0, MSCOPE_PUBLISH_ALL);
            break;
        case SIGUSR1:
            in->engine->save_wanted = in->saver->path != NULL ? MSCOPE_SAVE_ASKED : MSCOPE_SAVE_NOT;
            if (in->saver->path == NULL)
                mscope_log(MSCOPE_LOG_WARN, "main", "SIGUSR1: there is no state file; start with --state FILE");
            break;
        default:
            mscope_log(MSCOPE_LOG_INFO, "main", "stopping on signal %u", si.ssi_signo);
            stop = 1;
        }
    }
    return stop;
}

/* -- loop ------------------------------------------------------------------------------------- */

static void finish(mscope_loop *in)
{
    uint64_t start = mscope_clock_ns(), n = 0, now = start;
    int got;

    while (now - start < LAST_NS && (got = drain(in, &now, UINT64_MAX)) > 0) {
        n += (uint64_t)got;
        now = mscope_clock_ns();
    }
    mscope_log(MSCOPE_LOG_INFO, "main", "%llu queued messages applied; the last records follow", (unsigned long long)n);
    mscope_engine_alert(in->engine, NULL, "stopping", "momentscoped is stopping");
    mscope_engine_publish(in->engine, mscope_clock_ns(), MSCOPE_PUBLISH_ALL);
    wake(in);
}

/* An alert about connections turned away since the last such alert, at most one a second. */
static void tell_turned(mscope_loop *in, uint64_t now)
{
    mscope_turned t;
    uint64_t turned, open;

    if (in->turned_told_ns != 0 && now - in->turned_told_ns < 1000000000u)
        return;
    mscope_doors_count(&turned, &open);
    if (turned == in->turned_told || !mscope_doors_next(&t))
        return;
    while (mscope_doors_next(&t)) {
        /* the newest that is there is told; the log has no room for thousands */
    }
    mscope_engine_alert(in->engine, NULL, "turned-away", "%llu connections turned away; the last was %s at %s: %s",
                        (unsigned long long)(turned - in->turned_told), t.who, mscope_doors_name(t.door), t.why);
    in->turned_told = turned;
    in->turned_told_ns = now;
}

/* The publisher's thread looks, and binds its own two sockets; ingest is this thread's. At most once a second. */
static void find_door(mscope_loop *in, uint64_t now)
{
    const int told = in->sockets != NULL && in->sockets->told[0];

    if (in->sockets == NULL || now - in->found_ns < 1000000000u ||
        !mscope_sockets_again(in->sockets, MSCOPE_DOOR_INGEST))
        return;
    in->found_ns = now;
    if (!told || !in->sockets->told[0])      /* lost, or found again */
        mscope_engine_alert(in->engine, NULL, "unreachable", "the socket file of %.100s was removed; it %s",
                            in->options->ingest, in->sockets->told[0] ? "cannot be made again: the log says why"
                                                                      : "was made again");
}

/* Begin a publication; returns the next deadline, on the same grid. */
static uint64_t tick(mscope_loop *in, uint64_t deadline, uint64_t period, uint64_t now)
{
    tell_turned(in, now);
    find_door(in, now);
    mscope_publish_begin(in->engine, now, deadline,
                         in->options->interval > 0 ? MSCOPE_PUBLISH_MOVED : MSCOPE_PUBLISH_CHANGED);
    mscope_shm_server_sweep(in->shm);
    return deadline + ((now - deadline) / period + 1) * period;
}

/* A timer that is exact to microseconds, where poll knows only milliseconds; -1: poll alone. */
static int alarm_every(uint64_t first, uint64_t period)
{
    const struct itimerspec at = { .it_value = { (time_t)(first / 1000000000u), (long)(first % 1000000000u) },
                                   .it_interval = { (time_t)(period / 1000000000u), (long)(period % 1000000000u) } };
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    if (fd >= 0 && timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

void mscope_loop_run(mscope_loop *in)
{
    uint64_t period = in->options->interval > 0 ? (uint64_t)(in->options->interval * 1e9) : 1000000000u;
    uint64_t now = mscope_clock_ns(), deadline = now, due_times;

    in->saved_ns = now;
    int timer = alarm_every(deadline, period);
    zmq_pollitem_t items[5] = { { .socket = in->inbox->router, .events = ZMQ_POLLIN },
                                { .fd = in->signal_fd, .events = ZMQ_POLLIN },
                                { .fd = in->saver->done_fd, .events = ZMQ_POLLIN },
                                { .fd = in->shm->epoll, .events = ZMQ_POLLIN },
                                { .fd = timer, .events = ZMQ_POLLIN } };

    mscope_systemd_say(in->systemd, "READY=1\nSTATUS=trainers and subscribers may come");
    for (;;) {
        long wait = deadline > now && !work_waits(in) ? (long)((deadline - now + 999999) / 1000000) : 0;
        size_t head = atomic_load_explicit(&in->engine->ring->head, memory_order_relaxed);
        uint64_t due, looked;
        if (wait > NAP_MS)
            wait = NAP_MS;
        due = now + (uint64_t)wait * 1000000u;
        (void)zmq_poll(items, timer < 0 ? 4 : 5, wait);    /* an fd of -1 is ignored */
        now = mscope_clock_ns();
        mscope_systemd_alive(in->systemd, now);
        if (timer >= 0 && (items[4].revents & ZMQ_POLLIN) && read(timer, &due_times, sizeof due_times) < 0) {
            /* the clock is read anyway */
        }
        slept(in, due, now);
        if (now > due)
            mscope_extreme_note(&in->engine->timing.pause, now - due);
        if ((items[1].revents & ZMQ_POLLIN) && on_signal(in))
            break;
        (void)drain(in, &now, deadline);
        mscope_inbox_look(in->inbox, now);
        if (items[3].revents & ZMQ_POLLIN)   /* after the messages: the last ones of a leaving trainer need its ring */
            mscope_shm_server_serve(in->shm, now);
        looked = mscope_clock_ns();
        if (in->saver->path != NULL) {
            end_save(in);
            want_save(in, looked);
            start_save(in);
        }
        due = now;
        now = mscope_clock_ns();
        slept(in, due, now);                 /* stopped, or busy, since the poll */
        if (now >= deadline)
            deadline = tick(in, deadline, period, now);
        if (work_waits(in))
            now = work(in, now);
        mscope_extreme_note(&in->engine->timing.pause, now - looked);
        if (atomic_load_explicit(&in->engine->ring->head, memory_order_relaxed) != head)
            wake(in);
    }
    mscope_systemd_say(in->systemd, "STOPPING=1\nSTATUS=applying what has arrived");
    finish(in);
    if (timer >= 0)
        (void)close(timer);
}
