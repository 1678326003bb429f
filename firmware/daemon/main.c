/* main.c - momentscoped: sets up options, memory, sockets and threads, and takes them down again in order
 *
 * Threads: the main thread becomes the engine (loop.c); the publisher owns XPUB and replay (publish.c); the saver
 * writes the state file (saver.c). All memory but that of tables is mapped here. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "doors.h"
#include "lock.h"
#include "loop.h"
#include "log.h"
#include "mapped.h"
#include "mscope/workers.h"
#include "systemd.h"
#include "options.h"
#include "publish.h"
#include "realtime.h"
#include "records.h"
#include "restore.h"
#include "sockets.h"
#include "store.h"
#include "verify.h"
#include "protocol/standard.h"

enum { EXIT_FAILED = 1, EXIT_OPTION = 2, EXIT_STATE = 3, EXIT_ENDPOINT = 4 };

typedef struct daemon_memory {
    mscope_engine engine;
    mscope_publisher publisher;
    mscope_saver saver;
    mscope_log_queue log;
    mscope_inbox inbox;
    mscope_shm_server shm;
    mscope_ring ring;
    mscope_outside outside;
    mscope_systemd systemd;
    mscope_workers *workers;         /* NULL: --threads 1 */
    int lock, map_lock;              /* of the state file and of --map-dir, or -1 */
} daemon_memory;

static void *map(size_t len, int present)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | (present ? MAP_POPULATE : MAP_NORESERVE), -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static size_t power_above(size_t n)
{
    size_t p = 1;

    while (p < n)
        p *= 2;
    return p;
}

static int check_kernel(const char *name)
{
    static _Alignas(64) unsigned char mem[1 << 20];
    mscope_table_config cfg = { .rows = 1, .dim = 1, .capacity = 1, .history = 16, .kernel = name };
    mscope_table *t;

    if (name == NULL || mscope_table_mem(&cfg) > sizeof mem || mscope_table_init(&t, &cfg, mem, sizeof mem) == 0)
        return 0;
    fprintf(stderr,
            "momentscoped: --kernel is '%s', expected a kernel that this build and machine have (ref always works)\n",
            name);
    return MSCOPE_EINVAL;
}

static int block_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);          /* a file beyond its size limit is an error like a full disk */
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static mscope_engine_config engine_config(const mscope_options *o)
{
    return (mscope_engine_config){
        .max_tables = (uint32_t)o->max_tables,
        .history = (uint32_t)o->history,
        .max_bytes = o->max_bytes,
        .max_part = o->max_part,
        .credit_messages = o->credit_messages,
        .credit_bytes = o->credit_bytes,
        .takeover_ns = (uint64_t)(o->takeover * 1e9),
        .interval_steps = o->interval_steps,
        .interval = o->interval,
        .kernel = o->kernel[0] != '\0' ? o->kernel : NULL,
        .can_save = o->state[0] != '\0',
        .prefault = o->realtime,
        .map_dir = o->map_dir[0] != '\0' ? o->map_dir : NULL,
        .map_above = o->map_above,
    };
}

/* A trainer may send up to its credit, or one message: of its three large parts none is above --max-part. */
static int open_doors(const mscope_options *o)
{
    const uint64_t largest = 3 * o->max_part > o->credit_bytes ? 3 * o->max_part : o->credit_bytes;
    const mscope_doors_limits limits = { .connections = (uint32_t)o->max_connections,
                                         .subscriptions = (uint32_t)o->max_subscriptions, .flight = o->max_flight,
                                         .message = largest < o->max_flight ? largest : o->max_flight,
                                         .keyed = o->keys[0] != '\0', .anybody = o->allow_users || o->keys[0] != '\0' };

    return mscope_doors_open(&limits);
}

static int set_up(daemon_memory *d, const mscope_options *o)
{
    mscope_engine_config cfg = engine_config(o);
    size_t tables = (size_t)o->max_tables, replay_bytes = (size_t)o->replay_bytes;      /* in range: options.c */
    size_t records = power_above(tables * (2 * MSCOPE_BANDS + 1) + 64);
    struct timespec ts;
    mscope_shadow *shadows = map(tables * sizeof *shadows, o->realtime);
    mscope_topics *topics = &d->publisher.topics;
    mscope_record *slots;
    void *answers;
    uint8_t *replay = map(replay_bytes, o->realtime);

    if (records > 65536)
        records = 65536;
    slots = map(records * sizeof *slots, o->realtime);
    topics->slots = power_above(2 * (tables * (2 * MSCOPE_BANDS + 1) + 2));
    topics->at = map(topics->slots * sizeof *topics->at, o->realtime);
    answers = map(mscope_answers_mem(topics->slots), o->realtime);
    if (shadows == NULL || answers == NULL || slots == NULL || replay == NULL || topics->at == NULL ||
        mscope_log_queue_init(&d->log) != 0 || mscope_ring_init(&d->ring, slots, sizeof *slots, records) != 0)
        return MSCOPE_ENOMEM;
    if (o->threads > 1) {                    /* signals are blocked by now, in them as well */
        if (mscope_workers_start(&d->workers, (unsigned)o->threads) != 0)
            return MSCOPE_ENOMEM;
        cfg.parallel = mscope_workers_parallel(d->workers);
    }
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    mscope_engine_init(&d->engine, &cfg, shadows, &d->ring, &d->outside,
                       (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec, mscope_clock_ns());
    d->publisher.ring = &d->ring;
    d->publisher.outside = &d->outside;
    d->publisher.spread_ns = o->interval > 0 ? (uint64_t)(o->interval * 0.5e9) : 100000000u;
    mscope_answers_init(&d->publisher.answers, topics, answers);
    mscope_replay_init(&d->publisher.replay, replay, replay_bytes, NULL);
    d->publisher.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d->saver.work_fd = d->log.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d->saver.done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d->saver.log = &d->log;
    if (mscope_saver_init(&d->saver, o->state[0] != '\0' ? o->state : NULL) != 0)
        return MSCOPE_ENOMEM;
    return d->publisher.wake_fd < 0 || d->saver.work_fd < 0 || d->saver.done_fd < 0 ? MSCOPE_EIO : 0;
}

/* Before any endpoint is touched: of two daemons with one state, the second disturbs nothing of the first. */
static int lock_state(daemon_memory *d, const mscope_options *o)
{
    d->lock = d->map_lock = -1;
    if (d->saver.path == NULL)
        return 0;
    return mscope_lock_take("state", o->state, o->state, &d->lock) != 0 || mscope_store_check(o->state) != 0
               ? EXIT_STATE : 0;
}

/* Load the state file; with --discard-state, move one aside that cannot be loaded. Returns 0 or the exit status. */
static int restore(daemon_memory *d, const mscope_options *o)
{
    char aside[1100], previous[1100];
    mscope_engine *e = &d->engine;
    uint32_t tables = 0;
    int err;

    if (d->saver.path == NULL)
        return 0;
    err = mscope_restore_state(e, o->state, mscope_clock_ns());
    if (err == 1) {
        mscope_log(MSCOPE_LOG_INFO, "store", "there is no state file %s yet; %s", o->state,
                   o->state_every > 0 ? "it will be written every --state-every seconds and at exit"
                                      : "it will be written at exit");
        return 0;
    }
    if (err == 0) {
        for (uint32_t i = 0; i < e->cfg.max_tables; i++)
            tables += e->shadows[i].used != 0;
        mscope_engine_alert(e, NULL, "restored", "%u tables from %.120s", tables, o->state);
        return 0;
    }
    (void)mscope_engine_fini(e);
    memset(e->sessions, 0, sizeof e->sessions);
    (void)snprintf(aside, sizeof aside, "%s.bad", o->state);
    (void)snprintf(previous, sizeof previous, "%s.previous", o->state);
    if (err == MSCOPE_EPROTO && access(previous, F_OK) == 0) {
        if (mscope_restore_state(e, previous, mscope_clock_ns()) == 0 && rename(o->state, aside) == 0) {
            mscope_engine_alert(e, NULL, "restored", "from %.100s: the newer file was damaged, and is kept as %.60s",
                                previous, aside);
            return 0;
        }
        (void)mscope_engine_fini(e);
        memset(e->sessions, 0, sizeof e->sessions);
    }
    if (!o->discard_state || rename(o->state, aside) != 0) {
        mscope_log(MSCOPE_LOG_ERROR, "store",
                   "cannot start: repair or remove %s, or start with --discard-state to move it to %s", o->state,
                   aside);
        return EXIT_STATE;
    }
    mscope_log(MSCOPE_LOG_WARN, "store", "state discarded; the file is kept as %s", aside);
    return 0;
}

static int save_last(daemon_memory *d)
{
    mscope_saved saved;
    int err;

    if (d->saver.path == NULL)
        return 0;
    err = mscope_store_save(&d->engine, d->saver.path, &saved);
    mscope_store_tell(d->saver.path, &saved, 0);
    return err ? EXIT_STATE : 0;
}

static int verify(daemon_memory *d, mscope_options *o)
{
    int err;

    o->max_tables = 1024;                    /* whatever it was made with */
    o->max_bytes = UINT64_C(1) << 50;
    o->state[0] = '\0';
    if (set_up(d, o) != 0)
        return EXIT_FAILED;
    err = mscope_verify_state(&d->engine, o->verify);
    (void)mscope_engine_fini(&d->engine);
    mscope_workers_stop(d->workers);
    return err ? EXIT_STATE : 0;
}

static void stop_thread(pthread_t thread, _Atomic int *stop, int fd)
{
    const uint64_t one = 1;

    atomic_store_explicit(stop, 1, memory_order_release);
    if (write(fd, &one, sizeof one) < 0) {
        /* the counter is full: the thread is awake already */
    }
    (void)pthread_join(thread, NULL);
}

static int run(daemon_memory *d, const mscope_options *o, mscope_sockets *sockets, int signal_fd)
{
    mscope_loop in = { .engine = &d->engine, .saver = &d->saver, .options = o, .inbox = &d->inbox, .shm = &d->shm,
                       .sockets = sockets,
                       .signal_fd = signal_fd, .wake_fd = d->publisher.wake_fd, .systemd = &d->systemd };
    pthread_t publisher, saver;

    mscope_inbox_init(&d->inbox, &d->engine, sockets->ingest);
    if (mscope_shm_server_init(&d->shm, &d->engine, sockets->shm) != 0)
        mscope_log(MSCOPE_LOG_WARN, "main", "no shared memory with trainers: %s", strerror(errno));
    d->publisher.sockets = sockets;
    d->publisher.xpub = sockets->telemetry;
    d->publisher.replay.socket = sockets->replay;
    if (pthread_create(&publisher, NULL, mscope_publisher_run, &d->publisher) != 0)
        return EXIT_FAILED;
    if (pthread_create(&saver, NULL, mscope_saver_run, &d->saver) != 0) {
        stop_thread(publisher, &d->publisher.stop, d->publisher.wake_fd);
        return EXIT_FAILED;
    }
    mscope_realtime_engine(o, d->engine.cfg.realtime);
    mscope_log(MSCOPE_LOG_INFO, "main", "momentscoped %s is ready, pid %ld, epoch %llu", MSCOPE_VERSION, (long)getpid(),
               (unsigned long long)d->engine.epoch);
    mscope_log_hand_over(&d->log);
    mscope_loop_run(&in);
    mscope_log_hand_over(NULL);
    mscope_shm_server_fini(&d->shm);
    mscope_saver_end(&d->saver);
    stop_thread(saver, &d->saver.stop, d->saver.work_fd);
    stop_thread(publisher, &d->publisher.stop, d->publisher.wake_fd);
    return save_last(d);
}

/* A save puts a new file in the old one's place, which would end a link; so what it leads to is the file, also where
 * there is none yet. */
static void follow_link(mscope_options *o)
{
    char to[sizeof o->state], whole[2 * sizeof to];
    ssize_t n;

    for (int links = 0; links < 8 && (n = readlink(o->state, to, sizeof to - 1)) > 0; links++) {
        const char *slash = to[0] == '/' ? NULL : strrchr(o->state, '/');
        const int folder = slash != NULL ? (int)(slash - o->state) + 1 : 0;
        to[n] = '\0';
        if ((size_t)snprintf(whole, sizeof whole, "%.*s%s", folder, o->state, to) >= sizeof o->state)
            return;
        memcpy(o->state, whole, strlen(whole) + 1);
    }
}

int main(int argc, char **argv)
{
    static daemon_memory d;
    static mscope_options o;
    mscope_sockets sockets = { .shm = -1 };
    int signal_fd, status;

    mscope_standard_open();
    status = mscope_options_parse(&o, argc, argv);
    if (status != MSCOPE_OPTIONS_RUN)
        return mscope_standard_arrived("momentscoped", status, EXIT_FAILED);
    if (check_kernel(o.kernel[0] != '\0' ? o.kernel : NULL))
        return EXIT_OPTION;
    (void)umask(077);
    if (mscope_log_open(o.log[0] != '\0' ? o.log : NULL, (enum mscope_level)o.log_level))
        return EXIT_OPTION;
    if (o.check_config)
        return mscope_verify_options(&o) != 0 ? EXIT_OPTION : 0;
    if (o.verify[0] != '\0')
        return verify(&d, &o);
    follow_link(&o);
    if (!(o.interval > 0) && o.interval_steps == 0)
        mscope_log(MSCOPE_LOG_WARN, "main",
                   "--interval and --interval-steps are 0: no regular records; a table is published "
                   "when its exactness or owner changes, on SIGHUP and at the end");
    if (o.realtime)
        mscope_realtime_heap();
    signal_fd = block_signals();
    if (signal_fd < 0 || open_doors(&o) != 0 || set_up(&d, &o) != 0) {
        mscope_log(MSCOPE_LOG_ERROR, "main", "cannot start: %s", strerror(errno));
        return EXIT_FAILED;
    }
    mscope_systemd_open(&d.systemd);
    status = lock_state(&d, &o);
    if (!status && mscope_sockets_open(&sockets, &o) != 0)
        status = EXIT_ENDPOINT;
    if (!status)
        status = restore(&d, &o);
    if (!status && d.engine.cfg.map_dir != NULL &&
        mscope_restore_tables(&d.engine, o.discard_state, mscope_clock_ns(), &d.map_lock))
        status = EXIT_STATE;
    if (!status)
        status = run(&d, &o, &sockets, signal_fd);
    mscope_sockets_close(&sockets);
    if (mscope_engine_fini(&d.engine) != 0 && !status)
        status = EXIT_STATE;
    mscope_workers_stop(d.workers);
    mscope_lock_release(o.state, d.lock);
    mscope_mapped_unlock(o.map_dir, d.map_lock);
    mscope_systemd_close(&d.systemd);
    if (!status)
        mscope_log(MSCOPE_LOG_INFO, "main", "stopped");
    return status;
}
