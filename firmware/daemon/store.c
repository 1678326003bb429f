/* store.c - see store.h
 *
 * The same code writes an image into memory, twice, first counting and then writing, or straight into a file. */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image.h"
#include "log.h"

static int put_table(mscope_shadow *s, mscope_writer *w)
{
    int err = mscope_image_put(s, w);

    return err ? err : mscope_table_snapshot_write(s->core, mscope_write_bytes, w);
}

static int put_state(mscope_engine *e, mscope_writer *w)
{
    uint32_t sessions = 0, tables = 0;
    int err = 0;

    for (unsigned i = 0; i < MSCOPE_SESSIONS; i++)
        sessions += e->sessions[i].id != 0;
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        tables += e->shadows[i].used && e->shadows[i].map.fd <= 0;
    (void)mscope_write_bytes(w, mscope_store_magic, sizeof mscope_store_magic);
    mscope_write_u(w, MSCOPE_STORE_VERSION, 4);
    mscope_write_u(w, sessions, 4);
    mscope_write_u(w, tables, 4);
    for (unsigned i = 0; i < MSCOPE_SESSIONS; i++) {
        if (e->sessions[i].id == 0)
            continue;
        mscope_write_u(w, e->sessions[i].id, 8);
        mscope_write_u(w, e->sessions[i].next, 8);
        mscope_write_u(w, (uint64_t)e->sessions[i].left, 4);
    }
    for (uint32_t i = 0; i < e->cfg.max_tables && !err; i++)
        if (e->shadows[i].used && e->shadows[i].map.fd <= 0)
            err = put_table(&e->shadows[i], w);
    return err;
}

int mscope_store_image(mscope_engine *e, uint8_t **image, size_t *len)
{
    mscope_writer count = { .at = NULL }, w = { .at = NULL };
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
    mscope_write_u(&w, mscope_crc32(0, w.at, w.len), 4);
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

/* -- a file ---------------------------------------------------------------------------------- */

typedef struct out {                     /* bytes on their way to a file, gathered            */
    int fd, err;
    uint32_t crc;
    uint64_t len;
    size_t held;
} out;

static uint8_t gathered[1 << 18];        /* one save at a time in a process                   */

static int flush(out *o)
{
    if (o->err == 0 && write_all(o->fd, gathered, o->held) != 0)
        o->err = errno;
    o->held = 0;
    return o->err == 0 ? 0 : MSCOPE_EIO;
}

static int put(void *to, const void *bytes, size_t len)
{
    out *o = to;

    o->crc = mscope_crc32(o->crc, bytes, len);
    o->len += len;
    if (len > sizeof gathered - o->held && flush(o) != 0)
        return MSCOPE_EIO;
    if (len > sizeof gathered) {
        if (write_all(o->fd, bytes, len) != 0)
            o->err = errno;
        return o->err == 0 ? 0 : MSCOPE_EIO;
    }
    memcpy(gathered + o->held, bytes, len);
    o->held += len;
    return 0;
}

/* A temporary file that was not there: whatever somebody has put in its place is removed, and never written to. */
static int open_new(const char *temp)
{
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST && unlink(temp) == 0)
        fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd;
}

static int write_state(mscope_engine *e, out *o)
{
    mscope_writer w = { .put = put, .to = o };
    uint8_t crc[4];
    int err = put_state(e, &w);

    mscope_put_le(crc, o->crc, 4);
    if (!err)
        err = put(o, crc, sizeof crc);
    return err ? err : flush(o);
}

/* FILE becomes FILE.previous as well. From the second save on there is one at every moment, whenever the daemon is
 * killed. There is no FILE at the first save, and there are no links on some file systems. */
static void keep_previous(const char *path, const char *previous)
{
    char link_to_be[4096];

    if ((size_t)snprintf(link_to_be, sizeof link_to_be, "%s.new", previous) >= sizeof link_to_be)
        return;
    (void)unlink(link_to_be);
    if (link(path, link_to_be) == 0)
        (void)rename(link_to_be, previous);
    (void)unlink(link_to_be);                /* left by a rename onto itself, after a save that ended just here */
}

int mscope_store_save(mscope_engine *e, const char *path, mscope_saved *r)
{
    char temp[4096], previous[4096];
    out o = { .fd = -1 };
    int bad;

    *r = (mscope_saved){ .did = MSCOPE_SAVE_OPEN };
    if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp ||
        (size_t)snprintf(previous, sizeof previous, "%s.previous", path) >= sizeof previous)
        return r->err = ENAMETOOLONG;
    o.fd = open_new(temp);
    bad = o.fd < 0;
    if (!bad)
        bad = (r->did = MSCOPE_SAVE_WRITE, write_state(e, &o) != 0) || (r->did = MSCOPE_SAVE_SYNC, fsync(o.fd) != 0);
    r->err = bad ? o.err != 0 ? o.err : errno : 0;
    if (o.fd >= 0 && close(o.fd) != 0 && !bad) {
        bad = 1;
        r->err = errno;
    }
    if (!bad) {
        keep_previous(path, previous);
        r->did = MSCOPE_SAVE_RENAME;
        bad = rename(temp, path) != 0;
        r->err = bad ? errno : 0;
    }
    if (bad && o.fd >= 0)
        (void)unlink(temp);                  /* half a file is useless, and may be what fills the disk */
    if (!bad)
        sync_directory(path);
    r->len = o.len;
    r->done = !bad;
    return bad ? r->err != 0 ? r->err : EIO : 0;
}

void mscope_store_tell(const char *path, const mscope_saved *r, int quiet)
{
    static const char *const did[] = { "open", "write", "sync", "rename" };

    if (r->done)
        mscope_log(quiet ? MSCOPE_LOG_DEBUG : MSCOPE_LOG_INFO, "store", "state saved: %s, %llu bytes", path,
                   (unsigned long long)r->len);
    else
        mscope_log(MSCOPE_LOG_ERROR, "store", "state not saved: cannot %s %s.new: %s", did[r->did], path,
                   r->err != 0 ? strerror(r->err) : "the process that wrote it ended early");
}

int mscope_store_check(const char *path)
{
    char temp[4096];
    int fd;

    if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp)
        return MSCOPE_EINVAL;
    fd = open_new(temp);
    if (fd < 0) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "--state %s: cannot write %s: %s", path, temp, strerror(errno));
        return MSCOPE_EIO;
    }
    (void)close(fd);
    (void)unlink(temp);
    return 0;
}
