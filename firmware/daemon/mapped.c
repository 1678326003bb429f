/* mapped.c - see mapped.h
 *
 * Head: "MSCPMAPD", u32 version, u32 clean, u64 bytes of the block, u64 layout (mscope_table_layout); if clean also
 * session {u64 id, u64 next, u32 left} and the shadow as image.h has it; zeros; in the last 4 bytes the CRC-32 of all
 * before. Every block of the file is allocated before it is mapped: a full disk is a refused HELLO and never a fault
 * while a row is written.                                                                                      */
#include "mapped.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/refusal.h"
#include "image.h"
#include "lock.h"
#include "log.h"

#define HEAD MSCOPE_MAPPED_HEAD
#define VERSION 5

static const char magic[8] = { 'M', 'S', 'C', 'P', 'M', 'A', 'P', 'D' };

/* The directory is locked under the name of a file that is never there: DIR/tables.lock. */
static int lock_path(const char *dir, char path[1200])
{
    return snprintf(path, 1200, "%s/tables", dir) < 1200 ? 0 : MSCOPE_EINVAL;
}

int mscope_mapped_lock(const char *dir, int *lock)
{
    char path[1200];

    return lock_path(dir, path) ? MSCOPE_EINVAL : mscope_lock_take("map-dir", dir, path, lock);
}

void mscope_mapped_unlock(const char *dir, int lock)
{
    char path[1200];

    if (lock_path(dir, path) == 0)
        mscope_lock_release(path, lock);
}

static int path_of(const mscope_engine *e, const char *table, const char *more, char path[1200])
{
    return snprintf(path, 1200, "%s/%s" MSCOPE_MAPPED_SUFFIX "%s", e->cfg.map_dir, table, more) < 1200
               ? 0
               : MSCOPE_EINVAL;
}

int mscope_mapped_map(mscope_map_file *f)
{
    f->base = mmap(NULL, f->len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    if (f->base == MAP_FAILED)
        return MSCOPE_ENOMEM;
    (void)madvise(f->base, f->len, MADV_RANDOM);     /* rows are visited at random: no reading ahead            */
    (void)munlock(f->base, f->len);                  /* --realtime locks all mappings; this one may exceed memory */
    return 0;
}

/* The head goes out in one write, so that it is never half old and half new. */
static int write_head(const mscope_engine *e, const mscope_shadow *s, const mscope_map_file *f, int clean)
{
    uint8_t head[HEAD] = { 0 };
    mscope_writer w = { .at = head }, image = { .at = NULL };
    int err = clean ? mscope_image_put(s, &image) : 0;       /* only counts */

    if (err || image.len > HEAD - 64)
        return MSCOPE_ESTATE;

    (void)mscope_write_bytes(&w, magic, sizeof magic);
    mscope_write_u(&w, VERSION, 4);
    mscope_write_u(&w, (uint64_t)clean, 4);
    mscope_write_u(&w, f->len - HEAD, 8);
    mscope_write_u(&w, mscope_table_layout(), 8);
    if (clean) {
        const mscope_session *ses = NULL;
        for (unsigned i = 0; i < MSCOPE_SESSIONS; i++)
            if (e->sessions[i].id != 0 && e->sessions[i].id == s->session)
                ses = &e->sessions[i];
        mscope_write_u(&w, s->session, 8);
        mscope_write_u(&w, ses != NULL ? ses->next : 0, 8);
        mscope_write_u(&w, ses == NULL || ses->left, 4);
        err = mscope_image_put(s, &w);
    }
    if (err)
        return MSCOPE_ESTATE;
    w.len = HEAD - 4;
    mscope_write_u(&w, mscope_crc32(0, head, HEAD - 4), 4);
    return pwrite(f->fd, head, HEAD, 0) == HEAD && fsync(f->fd) == 0 ? 0 : MSCOPE_EIO;
}

int mscope_mapped_open(const mscope_engine *e, const mscope_hello *hello, size_t len, mscope_map_file *out,
                       mscope_refusal *why)
{
    char temp[1200], path[1200], range[64];
    mscope_map_file f = { .len = HEAD + len };
    int err = path_of(e, hello->table, ".new", temp) || path_of(e, hello->table, "", path);

    f.fd = err ? -1 : open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (f.fd < 0)
        return mscope_refusal_set(why, MSCOPE_EIO, "table", "a file in --map-dir", strerror(errno), "%s", hello->table);
    err = posix_fallocate(f.fd, 0, (off_t)f.len);
    if (err == 0 && write_head(e, NULL, &f, 0) == 0 && mscope_mapped_map(&f) == 0 && rename(temp, path) == 0) {
        *out = f;
        return 0;
    }
    if (f.base != NULL && f.base != MAP_FAILED)
        (void)munmap(f.base, f.len);
    (void)unlink(temp);
    (void)close(f.fd);
    (void)snprintf(range, sizeof range, "%zu bytes free in --map-dir", f.len);
    return mscope_refusal_set(why, MSCOPE_ENOMEM, "rows", range, err ? strerror(err) : "the file cannot be mapped",
                              "%u rows", hello->rows);
}

void mscope_mapped_drop(const mscope_engine *e, const mscope_shadow *s)
{
    char path[1200];
    struct stat own, named;

    if (path_of(e, s->hello.table, "", path) == 0 && fstat(s->map.fd, &own) == 0 && stat(path, &named) == 0 &&
        own.st_dev == named.st_dev && own.st_ino == named.st_ino)
        (void)unlink(path);
    (void)munmap(s->map.base, s->map.len);
    (void)close(s->map.fd);
}

int mscope_mapped_leave(mscope_engine *e, mscope_shadow *s)
{
    int err = msync(s->map.base, s->map.len, MS_SYNC) != 0 ? MSCOPE_EIO : write_head(e, s, &s->map, 1);

    if (err)
        mscope_log(MSCOPE_LOG_ERROR, "store",
                   "table %s could not be saved in its file: %s; its trainer will send it again", s->hello.table,
                   strerror(errno));
    e->bytes -= s->mem_len;
    (void)munmap(s->map.base, s->map.len);
    (void)close(s->map.fd);
    memset(s, 0, sizeof *s);
    return err;
}

/* -- an earlier daemon's file ------------------------------------------------------------------ */

int mscope_mapped_take_head(const uint8_t head[HEAD], uint64_t size, mscope_map_file *f, mscope_reader *src,
                            const char **why)
{
    uint64_t version, clean, len, layout;
    uint8_t found[sizeof magic];

    *src = (mscope_reader){ head, HEAD - 4, 0 };
    (void)mscope_read_bytes(src, found, sizeof found);
    version = mscope_read_u(src, 4);
    clean = mscope_read_u(src, 4);
    len = mscope_read_u(src, 8);
    layout = mscope_read_u(src, 8);
    if (clean != 1)
        return 1;
    *why = "another build of momentscoped made it";
    if (version != VERSION || layout != mscope_table_layout())
        return MSCOPE_EVERSION;
    *why = "its size is not what its head says";
    f->len = HEAD + (size_t)len;
    return size == HEAD + len ? 0 : MSCOPE_EPROTO;
}

int mscope_mapped_read_head(mscope_map_file *f, mscope_reader *src, uint8_t head[HEAD], const char **why)
{
    struct stat st;

    *why = "it is not a table of momentscoped";
    if (fstat(f->fd, &st) != 0 || pread(f->fd, head, HEAD, 0) != HEAD || memcmp(head, magic, sizeof magic) != 0)
        return MSCOPE_EPROTO;
    *src = (mscope_reader){ head + HEAD - 4, 4, 0 };
    *why = "its head is damaged";
    if (mscope_read_u(src, 4) != mscope_crc32(0, head, HEAD - 4))
        return MSCOPE_EPROTO;
    return mscope_mapped_take_head(head, (uint64_t)st.st_size, f, src, why);
}

int mscope_mapped_mark_dirty(const mscope_map_file *f)
{
    return write_head(NULL, NULL, f, 0);
}
