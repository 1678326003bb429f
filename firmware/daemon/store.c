/* store.c - see store.h
 *
 * The same code makes an image twice, first counting and then writing, so that its length is known before memory is
 * mapped.                                                                                                      */
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
    mscope_writer count = { NULL, 0 }, w = { NULL, 0 };
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
            (void)unlink(temp);              /* half a file is useless, and may be what fills the disk */
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
