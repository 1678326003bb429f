/* store.c - see store.h
 *
 * An image is made twice by the same code: once counting, once writing, so that its length is known before memory
 * is mapped. The reader takes nothing from a file whose checksum is wrong.                                     */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "log.h"

#define STORE_VERSION 1
static const char magic[8] = { 'M', 'S', 'C', 'P', 'S', 'T', 'A', 'T' };

/* -- writing ---------------------------------------------------------------------------------- */

int mscope_store_put_shadow(const mscope_engine *e, const mscope_shadow *s, struct writer *w)
{
    uint8_t hello[MSCOPE_HELLO_MAX];
    const double last[] = { s->last.eta, s->last.eps, s->last.dampening, s->last.weight_decay, s->last.decoupled_decay,
                            s->last.batch };
    const uint64_t flags = (uint64_t)s->stepped | (uint64_t)s->probed << 1;
    const uint64_t words[] = { s->session, s->handle, (uint64_t)s->attached, (uint64_t)s->exact, s->healed,
                               s->referenced, flags, s->lost, s->refused, s->syncs, s->published };
    int n = mscope_hello_encode(&s->hello, hello, sizeof hello);

    if (n < 0)
        return n;
    put(w, (uint64_t)n, 4);
    (void)put_bytes(w, hello, (size_t)n);
    put(w, e->cfg.history, 4);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        put(w, words[i], 8);
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++)
        put_f64(w, last[i]);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        put_f64(w, s->fisher[b]);
        put_f64(w, s->fisher_updates[b]);
    }
    return 0;
}

static int put_table(const mscope_engine *e, mscope_shadow *s, writer *w)
{
    int err = mscope_store_put_shadow(e, s, w);

    return err ? err : mscope_table_snapshot_write(s->core, put_bytes, w);
}

static int put_state(mscope_engine *e, writer *w)
{
    uint32_t sessions = 0, tables = 0;
    int err = 0;

    for (unsigned i = 0; i < MSCOPE_SESSIONS; i++)
        sessions += e->sessions[i].id != 0;
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        tables += e->shadows[i].used && e->shadows[i].map.fd <= 0;
    (void)put_bytes(w, magic, sizeof magic);
    put(w, STORE_VERSION, 4);
    put(w, sessions, 4);
    put(w, tables, 4);
    for (unsigned i = 0; i < MSCOPE_SESSIONS; i++) {
        if (e->sessions[i].id == 0)
            continue;
        put(w, e->sessions[i].id, 8);
        put(w, e->sessions[i].next, 8);
        put(w, (uint64_t)e->sessions[i].left, 4);
    }
    for (uint32_t i = 0; i < e->cfg.max_tables && !err; i++)
        if (e->shadows[i].used && e->shadows[i].map.fd <= 0)
            err = put_table(e, &e->shadows[i], w);
    return err;
}

int mscope_store_image(mscope_engine *e, uint8_t **image, size_t *len)
{
    writer count = { NULL, 0 }, w = { NULL, 0 };
    int err = put_state(e, &count);

    if (err)
        return err;
    count.len += 4;
    w.at = mmap(NULL, count.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w.at == MAP_FAILED)
        return MSCOPE_ENOMEM;
    err = put_state(e, &w);
    if (err || w.len + 4 != count.len) {
        (void)munmap(w.at, count.len);
        return err ? err : MSCOPE_ESTATE;
    }
    put(&w, crc32_of(w.at, w.len), 4);
    *image = w.at;
    *len = w.len;
    return 0;
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static void sync_directory(const char *path)
{
    char dir[4096];
    char *slash;
    int fd;

    (void)snprintf(dir, sizeof dir, "%s", path);
    slash = strrchr(dir, '/');
    if (slash == NULL)
        (void)snprintf(dir, sizeof dir, ".");
    else
        slash[slash == dir ? 1 : 0] = '\0';
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

int mscope_store_write(const char *path, const uint8_t *image, size_t len)
{
    char temp[4096];
    const char *did = "open";
    int fd, bad;

    if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp)
        return MSCOPE_EINVAL;
    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bad = fd < 0;
    if (!bad)
        bad = (did = "write", write_all(fd, image, len)) || (did = "sync", fsync(fd));
    if (fd >= 0)
        bad |= close(fd);
    if (!bad)
        bad = (did = "rename", rename(temp, path));
    if (bad) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "state not saved: cannot %s %s: %s", did, temp, strerror(errno));
        if (fd >= 0)
            (void)unlink(temp);              /* half a file is of no use, and the disk may be full of it */
        return MSCOPE_EIO;
    }
    sync_directory(path);
    mscope_log(MSCOPE_LOG_INFO, "store", "state saved: %s, %zu bytes", path, len);
    return 0;
}

int mscope_store_check(const char *path)
{
    char temp[4096];
    int fd;

    if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp)
        return MSCOPE_EINVAL;
    fd = open(temp, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "--state %s: cannot write %s: %s", path, temp, strerror(errno));
        return MSCOPE_EIO;
    }
    (void)close(fd);
    (void)unlink(temp);
    return 0;
}

/* The name is removed at exit, so a lock counts only while the name still leads to the file that is locked. */
int mscope_store_lock(const char *option, const char *value, const char *path, int *lock)
{
    char name[4096];
    struct stat own, named;
    int fd;

    if ((size_t)snprintf(name, sizeof name, "%s.lock", path) >= sizeof name)
        return MSCOPE_EINVAL;
    if (stat(path, &own) == 0 && !S_ISREG(own.st_mode)) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "--%s is '%s', expected a path where nothing is, or a regular file: it is %s",
                   option, value, S_ISDIR(own.st_mode) ? "a directory" : "a device, a pipe or a socket");
        return MSCOPE_EINVAL;
    }
    for (;;) {
        fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
            break;
        if (fstat(fd, &own) == 0 && stat(name, &named) == 0 && own.st_dev == named.st_dev && own.st_ino == named.st_ino) {
            *lock = fd;
            return 0;
        }
        (void)close(fd);
    }
    if (fd >= 0 && errno == EWOULDBLOCK)
        mscope_log(MSCOPE_LOG_ERROR, "store", "--%s is '%s', expected a %s that no other momentscoped is using: one "
                   "holds %s", option, value, strcmp(option, "map-dir") == 0 ? "directory" : "file", name);
    else
        mscope_log(MSCOPE_LOG_ERROR, "store", "--%s %s: cannot lock %s: %s", option, value, name, strerror(errno));
    if (fd < 0)
        return MSCOPE_EIO;
    (void)close(fd);
    return MSCOPE_EBUSY;
}

void mscope_store_unlock(const char *path, int lock)
{
    char name[4096];

    if (lock < 0)
        return;
    (void)snprintf(name, sizeof name, "%s.lock", path);
    (void)unlink(name);
    (void)close(lock);
}

void *mscope_saver_run(void *saver)
{
    mscope_saver *s = saver;
    const uint64_t one = 1;

    for (;;) {
        struct pollfd work = { .fd = s->work_fd, .events = POLLIN };
        uint64_t n;
        int stop;
        if (poll(&work, 1, -1) < 0 && errno != EINTR)
            return NULL;
        if (read(s->work_fd, &n, sizeof n) < 0) {
            /* a signal ended the poll */
        }
        /* behind the read, or the wake-up that belongs to it could be gone; before the last look */
        stop = atomic_load_explicit(&s->stop, memory_order_acquire);
        if (s->log != NULL)
            mscope_log_drain(s->log);
        if (atomic_load_explicit(&s->state, memory_order_acquire) == MSCOPE_SAVER_WORK) {
            int err = mscope_store_write(s->path, s->image, s->len);
            (void)munmap(s->image, s->len);
            atomic_store_explicit(&s->state, err ? MSCOPE_SAVER_FAILED : MSCOPE_SAVER_DONE, memory_order_release);
            if (write(s->done_fd, &one, sizeof one) < 0)
                mscope_log(MSCOPE_LOG_WARN, "store", "cannot wake the engine: %s", strerror(errno));
        }
        if (stop)
            return NULL;
    }
}

/* -- reading ---------------------------------------------------------------------------------- */

int mscope_store_get_hello(struct source *src, mscope_hello *hello, uint32_t *history)
{
    uint8_t bytes[MSCOPE_HELLO_MAX];
    mscope_refusal why = { .text = "cut short" };
    size_t n = (size_t)get(src, 4);              /* 4 bytes */

    if (n > sizeof bytes || get_bytes(src, bytes, n) || mscope_hello_decode(bytes, n, hello, &why))
        return MSCOPE_EPROTO;
    *history = (uint32_t)get(src, 4);
    return 0;
}

void mscope_store_get_shadow(struct source *src, mscope_shadow *s, uint64_t now_ns)
{
    uint64_t words[11];

    for (unsigned i = 0; i < 11; i++)
        words[i] = get(src, 8);
    s->session = words[0];
    s->handle = (uint32_t)words[1];
    s->attached = words[2] != 0;
    s->exact = words[3] != 0;
    s->healed = (uint32_t)words[4];
    s->referenced = (uint32_t)words[5];
    s->stepped = (int)(words[6] & 1);
    s->probed = (int)(words[6] >> 1 & 1);
    s->lost = words[7];
    s->refused = words[8];
    s->syncs = words[9];
    s->published = words[10];
    s->last.eta = get_f64(src);
    s->last.eps = get_f64(src);
    s->last.dampening = get_f64(src);
    s->last.weight_decay = get_f64(src);
    s->last.decoupled_decay = get_f64(src);
    s->last.batch = get_f64(src);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        s->fisher[b] = get_f64(src);
        s->fisher_updates[b] = get_f64(src);
    }
    s->heard_ns = now_ns;
    s->changed = 1;
}

static int get_table(mscope_engine *e, mscope_shadow *at, source *src, uint64_t now_ns)
{
    uint32_t history, configured = e->cfg.history;
    mscope_refusal why = { .text = "cut short" };
    uint64_t attached_at;
    mscope_hello hello;
    mscope_shadow s;
    int err = mscope_store_get_hello(src, &hello, &history);

    if (err)
        return err;
    attached_at = hello.step;
    hello.step = 0;                          /* the snapshot knows the step */
    if (history != configured && history != 0 && configured != 0)
        mscope_log(MSCOPE_LOG_WARN, "store", "--history %u becomes %u, as in the state file", configured, history);
    e->cfg.history = history;
    err = mscope_shadow_open(e, &s, &hello, 0, &why);
    e->cfg.history = configured;
    if (err) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "a table of the state file cannot be had: %s is %s, expected %s", why.field,
                   why.value, why.range);
        return err;
    }
    mscope_store_get_shadow(src, &s, now_ns);
    s.hello.step = attached_at;
    *at = s;
    err = mscope_table_snapshot_read(s.core, get_bytes, src);
    return err ? err : src->cut ? MSCOPE_EPROTO : 0;
}

static int get_state(mscope_engine *e, source *src, uint64_t now_ns)
{
    uint8_t head[sizeof magic];
    uint64_t sessions, tables;
    int err = 0;

    if (get_bytes(src, head, sizeof head) || memcmp(head, magic, sizeof magic) != 0)
        return MSCOPE_EPROTO;
    if (get(src, 4) != STORE_VERSION)
        return MSCOPE_EVERSION;
    sessions = get(src, 4);
    tables = get(src, 4);
    if (sessions > MSCOPE_SESSIONS)
        return MSCOPE_EPROTO;
    if (tables > e->cfg.max_tables) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "the state file holds %llu tables; --max-tables is %u",
                   (unsigned long long)tables, e->cfg.max_tables);
        return MSCOPE_ENOMEM;
    }
    for (uint64_t i = 0; i < sessions; i++) {
        e->sessions[i].id = get(src, 8);
        e->sessions[i].next = get(src, 8);
        e->sessions[i].left = get(src, 4) != 0;
        e->sessions[i].heard_ns = now_ns;
    }
    for (uint64_t i = 0; i < tables && !err; i++)
        err = get_table(e, &e->shadows[i], src, now_ns);
    return err ? err : src->cut || src->left != 0 ? MSCOPE_EPROTO : 0;
}

static uint32_t crc_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int mscope_store_load(mscope_engine *e, const char *path, uint64_t now_ns)
{
    struct stat st;
    uint8_t *p = MAP_FAILED;
    int err, fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return 1;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "cannot read state file %s: %s", path,
                   fd < 0 ? strerror(errno) : "not a regular file");
        if (fd >= 0)
            (void)close(fd);
        return MSCOPE_EIO;
    }
    if (st.st_size >= 24)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (p == MAP_FAILED || memcmp(p, magic, sizeof magic) != 0) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "%s is not a state file of momentscoped (%lld bytes)", path,
                   (long long)st.st_size);
        err = MSCOPE_EPROTO;
    } else if (crc32_of(p, (size_t)st.st_size - 4) != crc_at(p + st.st_size - 4)) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "state file %s is damaged: checksum 0x%08x, expected 0x%08x", path,
                   crc_at(p + st.st_size - 4), crc32_of(p, (size_t)st.st_size - 4));
        err = MSCOPE_EPROTO;
    } else {
        source src = { p, (size_t)st.st_size - 4, 0 };
        err = get_state(e, &src, now_ns);
        if (err)
            mscope_log(MSCOPE_LOG_ERROR, "store", "state file %s cannot be taken over: %s", path, mscope_strerror(err));
    }
    if (p != MAP_FAILED)
        (void)munmap(p, (size_t)st.st_size);
    return err;
}
