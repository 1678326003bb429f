/* test_realtime.c - what the engine's thread asks of the system while it runs: nothing it could wait for but the poll
 *
 * The daemon's own loop, publisher and saver, on real sockets. A seccomp filter on the engine's thread hands each of
 * its system calls to a supervisor, which notes it and lets it pass. Locks and allocations of our own objects are seen
 * by --wrap; what libzmq does inside its calls is listed beside.                                                  */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <zmq.h>

#include "daemon/clock.h"
#include "daemon/loop.h"
#include "daemon/log.h"
#include "daemon/publish.h"
#include "daemon/realtime.h"
#include "daemon/sockets.h"
#include "harness.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum { ROWS = 512, DIM = 8, ACTIVE = 32, STEPS = 3000, CALLS = 512 };

/* -- locks and allocators of our objects, counted on the engine's thread ------------------------ */

static _Thread_local int watched;
static _Atomic unsigned long ours;

#define WRAP(type, name, parameters, arguments)                                                                  \
    type __real_##name parameters;                                                                               \
    type __wrap_##name parameters;                                                                               \
    type __wrap_##name parameters                                                                                \
    {                                                                                                            \
        if (watched)                                                                                             \
            atomic_fetch_add(&ours, 1);                                                                          \
        return __real_##name arguments;                                                                          \
    }
WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, mmap, (void *at, size_t len, int prot, int flags, int fd, off_t off), (at, len, prot, flags, fd, off))
WRAP(int, pthread_mutex_lock, (pthread_mutex_t *m), (m))
WRAP(int, pthread_rwlock_rdlock, (pthread_rwlock_t *l), (l))
WRAP(int, pthread_rwlock_wrlock, (pthread_rwlock_t *l), (l))
WRAP(int, pthread_spin_lock, (pthread_spinlock_t *l), (l))
WRAP(int, pthread_cond_wait, (pthread_cond_t *c, pthread_mutex_t *m), (c, m))
WRAP(int, pthread_join, (pthread_t t, void **out), (t, out))
WRAP(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, nanosleep, (const struct timespec *t, struct timespec *left), (t, left))

/* -- the supervisor ----------------------------------------------------------------------------- */

typedef struct watch {
    int listener;
    _Atomic int noting;
    _Atomic unsigned long calls[CALLS], futex_waits, waiting_fd, long_polls;
} watch;

static void note(watch *w, const struct seccomp_data *d)
{
    if (d->nr >= 0 && d->nr < CALLS)
        atomic_fetch_add(&w->calls[d->nr], 1);
    if (d->nr == SYS_futex && ((int)d->args[1] & ~(128 | 256)) == 0)
        atomic_fetch_add(&w->futex_waits, 1);
    if ((d->nr == SYS_read || d->nr == SYS_write) && !(fcntl((int)d->args[0], F_GETFL) & O_NONBLOCK))
        atomic_fetch_add(&w->waiting_fd, 1);
    if (d->nr == SYS_poll && ((int)d->args[2] < 0 || (int)d->args[2] > 250))
        atomic_fetch_add(&w->long_polls, 1);
}

static void *supervise(void *at)
{
    watch *w = at;

    for (;;) {
        struct seccomp_notif in;
        struct seccomp_notif_resp out = { 0 };
        struct pollfd p = { .fd = w->listener, .events = POLLIN };

        if (poll(&p, 1, -1) < 0 || (p.revents & POLLHUP))
            return NULL;                     /* the filtered thread is gone */
        memset(&in, 0, sizeof in);
        if (ioctl(w->listener, SECCOMP_IOCTL_NOTIF_RECV, &in) != 0)
            continue;
        if (atomic_load(&w->noting))
            note(w, &in.data);
        out.id = in.id;
        out.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        (void)ioctl(w->listener, SECCOMP_IOCTL_NOTIF_SEND, &out);
    }
}

/* Every call is told of but the one that gives the listener's descriptor back, which nobody could answer yet. */
static int install(void)
{
    struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF) };
    const struct sock_fprog all = { 1, code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &all);
}

/* -- a daemon in this process ------------------------------------------------------------------- */

typedef struct daemon_here {
    char dir[64];
    mscope_options options;
    mscope_sockets sockets;
    mscope_engine engine;
    mscope_shadow shadows[4];
    mscope_record slots[4096];
    mscope_ring ring;
    mscope_outside outside;
    mscope_topic topics[512];
    uint32_t answers[3 * (512 + 1)];
    uint8_t replay[1 << 20];
    mscope_publisher publisher;
    mscope_saver saver;
    mscope_log_queue log;
    mscope_loop loop;
    mscope_inbox inbox;
    mscope_shm_server shm;
    pthread_t engine_thread, publisher_thread, saver_thread, supervisor;
    _Atomic int listener;                /* -2: not yet tried; -1: refused */
    watch watch;
} daemon_here;

static daemon_here d;

static void *run_engine(void *unused)
{
    (void)unused;
    mscope_log_hand_over(&d.log);
    watched = 1;
    atomic_store(&d.listener, SANITIZED ? -1 : install());
    mscope_loop_run(&d.loop);
    watched = 0;
    return NULL;
}

static void start_daemon(void)
{
    const mscope_engine_config cfg = { .max_tables = 4, .history = 1024, .max_bytes = 1 << 26, .max_part = 1 << 24,
                                       .credit_messages = 64, .credit_bytes = 1 << 24, .takeover_ns = 10000000000u,
                                       .interval = 0.01 };
    sigset_t set;

    mscope_realtime_heap();             /* as --realtime: else freeing in libzmq may trim the heap, which reads /proc */
    (void)snprintf(d.dir, sizeof d.dir, "/tmp/mscope-rt-XXXXXX");
    assert_non_null(mkdtemp(d.dir));
    d.options.interval = 0.01;
    d.options.max_part = 1 << 24;
    (void)snprintf(d.options.ingest, sizeof d.options.ingest, "ipc://%s/i", d.dir);
    (void)snprintf(d.options.telemetry, sizeof d.options.telemetry, "ipc://%s/t", d.dir);
    (void)snprintf(d.options.replay, sizeof d.options.replay, "ipc://%s/r", d.dir);
    (void)mscope_log_open("/dev/null", MSCOPE_LOG_DEBUG);
    assert_int_equal(mscope_sockets_open(&d.sockets, &d.options), 0);
    assert_int_equal(mscope_ring_init(&d.ring, d.slots, sizeof d.slots[0], LEN(d.slots)), 0);
    assert_int_equal(mscope_log_queue_init(&d.log), 0);
    mscope_engine_init(&d.engine, &cfg, d.shadows, &d.ring, &d.outside, 1, mscope_clock_ns());
    d.publisher.ring = &d.ring;
    d.publisher.outside = &d.outside;
    d.publisher.topics.at = d.topics;
    d.publisher.topics.slots = LEN(d.topics);
    mscope_answers_init(&d.publisher.answers, &d.publisher.topics, d.answers);
    mscope_replay_init(&d.publisher.replay, d.replay, sizeof d.replay, d.sockets.replay);
    d.publisher.xpub = d.sockets.telemetry;
    d.publisher.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d.saver.work_fd = d.log.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d.saver.done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d.saver.log = &d.log;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR2);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    mscope_inbox_init(&d.inbox, &d.engine, d.sockets.ingest);
    assert_int_equal(mscope_shm_server_init(&d.shm, &d.engine, d.sockets.shm), 0);
    d.loop = (mscope_loop){ .engine = &d.engine, .saver = &d.saver, .options = &d.options, .inbox = &d.inbox,
                            .shm = &d.shm,
                                .signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
                                .wake_fd = d.publisher.wake_fd };
    atomic_store(&d.listener, -2);
    assert_int_equal(pthread_create(&d.publisher_thread, NULL, mscope_publisher_run, &d.publisher), 0);
    assert_int_equal(pthread_create(&d.saver_thread, NULL, mscope_saver_run, &d.saver), 0);
    assert_int_equal(pthread_create(&d.engine_thread, NULL, run_engine, NULL), 0);
    while (atomic_load(&d.listener) == -2)
        (void)poll(NULL, 0, 1);
    d.watch.listener = atomic_load(&d.listener);
    if (d.watch.listener >= 0)
        assert_int_equal(pthread_create(&d.supervisor, NULL, supervise, &d.watch), 0);
}

static void end_thread(pthread_t thread, _Atomic int *stop, int fd)
{
    const uint64_t one = 1;

    atomic_store(stop, 1);
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void stop_daemon(void)
{
    atomic_store(&d.watch.noting, 0);
    assert_int_equal(pthread_kill(d.engine_thread, SIGUSR2), 0);
    assert_int_equal(pthread_join(d.engine_thread, NULL), 0);
    if (d.watch.listener >= 0)
        assert_int_equal(pthread_join(d.supervisor, NULL), 0);
    end_thread(d.saver_thread, &d.saver.stop, d.saver.work_fd);
    end_thread(d.publisher_thread, &d.publisher.stop, d.publisher.wake_fd);
    mscope_sockets_close(&d.sockets);
    (void)mscope_engine_fini(&d.engine);
    (void)rmdir(d.dir);
}

/* -- a trainer ---------------------------------------------------------------------------------- */

enum { WELCOMED = 1000000 };

/* The last sequence number acknowledged by what has come, 0 for none (one ACK may stand for many), or WELCOMED. */
static uint64_t answered(void *dealer, int wait_ms)
{
    zmq_pollitem_t item = { .socket = dealer, .events = ZMQ_POLLIN };
    uint8_t header[MSCOPE_HELLO_MAX];
    mscope_header h;
    uint64_t n = 0;

    while (zmq_poll(&item, 1, wait_ms) > 0)
        for (int more = 1; more; wait_ms = 0) {
            size_t size = sizeof more;
            int len = zmq_recv(dealer, header, sizeof header, 0);
            if (len == MSCOPE_HEADER_LEN && mscope_header_decode(header, (size_t)len, &h, NULL) == 0)
                n = h.kind == MSCOPE_ACK ? h.seq : h.kind == MSCOPE_WELCOME ? WELCOMED : n;
            assert_int_equal(zmq_getsockopt(dealer, ZMQ_RCVMORE, &more, &size), 0);
        }
    return n;
}

static void send_parts(void *dealer, const mscope_header *h, const void *a, size_t a_len, const void *b, size_t b_len)
{
    uint8_t header[MSCOPE_HEADER_LEN];

    mscope_header_encode(h, header);
    assert_true(zmq_send(dealer, header, sizeof header, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(dealer, a, a_len, b_len ? ZMQ_SNDMORE : 0) >= 0);
    if (b_len)
        assert_true(zmq_send(dealer, b, b_len, 0) >= 0);
}

static void say_hello(void *dealer)
{
    mscope_hello v = {
        .table = "t", .client = "test", .rows = ROWS, .dim = DIM, .capacity = ACTIVE, .acf_rows = 4, .fresh = 1
    };
    const mscope_header h = { .kind = MSCOPE_HELLO, .session = 9, .seq = 1 };
    uint8_t body[MSCOPE_HELLO_MAX];
    int n = mscope_hello_encode(&v, body, sizeof body);

    assert_true(n > 0);
    send_parts(dealer, &h, body, (size_t)n, NULL, 0);
    assert_int_equal(answered(dealer, 10000), WELCOMED);
}

static void train(void *dealer, uint64_t from, uint64_t to)
{
    uint32_t idx[ACTIVE];
    float g[ACTIVE * DIM];
    uint64_t acked = 0, more;

    for (uint64_t k = from; k <= to; k++) {
        mscope_header h = { .kind = MSCOPE_STEP, .session = 9, .seq = k, .step = k, .a = 0.1, .b = 0.1, .count = ACTIVE,
                            .extra = 8, .index_type = 4, .value_type = MSCOPE_F32 };
        for (uint32_t i = 0; i < ACTIVE; i++)
            idx[i] = (uint32_t)(rng_u64() % (i % 2 ? ROWS : 16));
        for (uint32_t i = 0; i < ACTIVE * DIM; i++)
            g[i] = (float)rng_normal();
        send_parts(dealer, &h, idx, sizeof idx, g, sizeof g);
        more = answered(dealer, k % 64 == 0 ? 5 : 0);
        acked = more > acked ? more : acked;
    }
    for (int silent = 0; acked < to && silent < 100;) {
        more = answered(dealer, 100);
        silent += more == 0;
        acked = more > acked ? more : acked;
    }
    assert_int_equal(acked, to);
}

static void test_engine_waits_for_nothing_but_its_poll(void **state)
{
    static const struct {
        int nr;
        const char *name;
        int zmq;
    } may[] = { { SYS_poll, "poll", 0 },      { SYS_read, "read", 0 },     { SYS_write, "write", 0 },
                { SYS_getpid, "getpid", 1 },  { SYS_futex, "futex", 1 },   { SYS_brk, "brk", 1 },
                { SYS_mmap, "mmap", 1 },      { SYS_munmap, "munmap", 1 }, { SYS_mprotect, "mprotect", 1 },
                { SYS_madvise, "madvise", 1 } };
    char said[512] = "";
    void *context, *dealer;
    const int none = 0;
    (void)state;

    start_daemon();
    context = zmq_ctx_new();
    dealer = zmq_socket(context, ZMQ_DEALER);
    (void)zmq_setsockopt(dealer, ZMQ_LINGER, &none, sizeof none);
    assert_int_equal(zmq_connect(dealer, d.options.ingest), 0);
    say_hello(dealer);
    train(dealer, 1, 100);
    atomic_store(&ours, 0);
    atomic_store(&d.watch.noting, 1);
    train(dealer, 101, STEPS);
    (void)poll(NULL, 0, 100);                    /* publications of a silent trainer too */
    NOTE("%d steps, %llu records: locks, allocations and files of our own %lu", STEPS - 100,
         (unsigned long long)atomic_load(&d.outside.records_out), atomic_load(&ours));
    assert_int_equal(atomic_load(&ours), 0);
    assert_true(atomic_load(&d.outside.records_out) > 20);
    stop_daemon();
    zmq_close(dealer);
    zmq_ctx_term(context);
    if (d.watch.listener < 0) {
        NOTE("system calls were not looked at: %s",
             SANITIZED ? "a sanitizer makes its own" : "no seccomp listener here");
        return;
    }
    for (int nr = 0; nr < CALLS; nr++) {
        unsigned long n = atomic_load(&d.watch.calls[nr]);
        int known = 0;
        for (size_t i = 0; i < LEN(may) && n > 0; i++)
            if (may[i].nr == nr) {
                size_t at = strlen(said);
                known = 1;
                snprintf(said + at, sizeof said - at, "%s%s%s %lu", at ? ", " : "", may[i].zmq ? "libzmq's " : "",
                         may[i].name, n);
            }
        CHECK(n == 0 || known, "the engine's thread made system call %d, %lu times", nr, n);
    }
    NOTE("its system calls: %s; waits on a futex: %lu, all libzmq's (its mailbox's mutex)", said,
         atomic_load(&d.watch.futex_waits));
    CHECK(atomic_load(&d.watch.calls[SYS_poll]) > 0, "nothing was seen at all");
    CHECK(atomic_load(&d.watch.waiting_fd) == 0, "%lu reads or writes of a descriptor that can wait",
          atomic_load(&d.watch.waiting_fd));
    CHECK(atomic_load(&d.watch.long_polls) == 0, "%lu polls beyond 250 ms", atomic_load(&d.watch.long_polls));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_engine_waits_for_nothing_but_its_poll) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
