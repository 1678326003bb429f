/* path_daemon.c - momentscoped without its main: the daemon's own loop, publisher and sockets, in a process that
 * measures */
#include <pthread.h>
#include <signal.h>

#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/loop.h"
#include "daemon/log.h"
#include "daemon/publish.h"
#include "daemon/sockets.h"
#include "path.h"

static struct {
    mscope_options options;
    mscope_sockets sockets;
    mscope_engine engine;
    mscope_shadow shadows[4];
    mscope_record slots[4096];
    mscope_ring ring;
    mscope_outside outside;
    mscope_topic topics[1024];
    uint8_t replay[1 << 20];
    mscope_publisher publisher;
    mscope_saver saver;
    mscope_inbox inbox;
    mscope_shm_server shm;
    mscope_loop loop;
    pthread_t engine_thread, publisher_thread;
} d;

static void *run_engine(void *unused)
{
    (void)unused;
    mscope_loop_run(&d.loop);
    return NULL;
}

void path_daemon_start(path_daemon *out, double interval, uint64_t interval_steps)
{
    const mscope_engine_config cfg = { .max_tables = 4, .history = 8192, .max_bytes = 1 << 30, .max_part = 1 << 26,
                                       .credit_messages = 64, .credit_bytes = 1 << 26, .takeover_ns = 10000000000u,
                                       .interval = interval, .interval_steps = interval_steps };
    sigset_t set;

    memset(&d, 0, sizeof d);
    (void)snprintf(out->dir, sizeof out->dir, "/tmp/mscope-path-XXXXXX");
    NEED(mkdtemp(out->dir) != NULL);
    (void)snprintf(out->ingest, sizeof out->ingest, "ipc://%s/i", out->dir);
    (void)snprintf(out->telemetry, sizeof out->telemetry, "ipc://%s/t", out->dir);
    d.options.interval = interval;
    d.options.max_part = 1 << 26;
    (void)snprintf(d.options.ingest, sizeof d.options.ingest, "%s", out->ingest);
    (void)snprintf(d.options.telemetry, sizeof d.options.telemetry, "%s", out->telemetry);
    (void)snprintf(d.options.replay, sizeof d.options.replay, "ipc://%s/r", out->dir);
    (void)mscope_log_open("/dev/null", MSCOPE_LOG_ERROR);
    NEED(mscope_sockets_open(&d.sockets, &d.options) == 0);
    NEED(mscope_ring_init(&d.ring, d.slots, sizeof d.slots[0], sizeof d.slots / sizeof *d.slots) == 0);
    mscope_engine_init(&d.engine, &cfg, d.shadows, &d.ring, &d.outside, 1, mscope_clock_ns());
    d.publisher.ring = &d.ring;
    d.publisher.outside = &d.outside;
    d.publisher.topics.at = d.topics;
    d.publisher.topics.slots = sizeof d.topics / sizeof *d.topics;
    mscope_replay_init(&d.publisher.replay, d.replay, sizeof d.replay, d.sockets.replay);
    d.publisher.xpub = d.sockets.telemetry;
    d.publisher.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d.saver.work_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d.saver.done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR2);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    mscope_inbox_init(&d.inbox, &d.engine, d.sockets.ingest);
    NEED(mscope_shm_server_init(&d.shm, &d.engine, d.sockets.shm) == 0);
    d.loop = (mscope_loop){ .engine = &d.engine, .saver = &d.saver, .options = &d.options, .inbox = &d.inbox,
                                .shm = &d.shm, .signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
                                .wake_fd = d.publisher.wake_fd };
    NEED(pthread_create(&d.publisher_thread, NULL, mscope_publisher_run, &d.publisher) == 0);
    NEED(pthread_create(&d.engine_thread, NULL, run_engine, NULL) == 0);
}

void path_daemon_stop(path_daemon *out)
{
    const uint64_t one = 1;

    NEED(pthread_kill(d.engine_thread, SIGUSR2) == 0);
    NEED(pthread_join(d.engine_thread, NULL) == 0);
    atomic_store(&d.publisher.stop, 1);
    NEED(write(d.publisher.wake_fd, &one, sizeof one) == sizeof one);
    NEED(pthread_join(d.publisher_thread, NULL) == 0);
    mscope_shm_server_fini(&d.shm);
    mscope_sockets_close(&d.sockets);
    mscope_engine_fini(&d.engine);
    (void)close(d.publisher.wake_fd);
    (void)close(d.saver.work_fd);
    (void)close(d.saver.done_fd);
    (void)close(d.loop.signal_fd);
    NEED(rmdir(out->dir) == 0);
}
