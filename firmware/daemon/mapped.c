/* mapped.c - see mapped.h
 *
 * Head: "MSCPMAPD", u32 version, u32 clean, u64 bytes of the block, u64 layout (mscope_table_layout), session {id, next, left},
 * then the shadow as in the state file, u32 length of all that and its CRC-32 at the end of the head. Every block of the
 * file is allocated before it is mapped: a full disk is refused in words and never a fault while a row is written. */
#include "mapped.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "protocol/fields.h"
#include "log.h"
#include "store.h"

#define HEAD 4096
#define VERSION 1
#define SUFFIX ".table"

static const char magic[8] = { 'M', 'S', 'C', 'P', 'M', 'A', 'P', 'D' };

static int path_of(const mscope_engine *e, const char *table, const char *more, char path[1200])
{
    return snprintf(path, 1200, "%s/%s" SUFFIX "%s", e->cfg.map_dir, table, more) < 1200 ? 0 : MSCOPE_EINVAL;
}

static int map_file(mscope_map_file *f)
{
    f->base = mmap(NULL, f->len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    if (f->base == MAP_FAILED)
        return MSCOPE_ENOMEM;
    (void)madvise(f->base, f->len, MADV_RANDOM);     /* rows are visited at random: reading ahead would read others */
    (void)munlock(f->base, f->len);                  /* --realtime locks what is mapped; this may exceed memory */
    return 0;
}

/* The head in one write, so that it is never half of one and half of another. */
static int write_head(const mscope_engine *e, const mscope_shadow *s, const mscope_map_file *f, int clean)
{
    uint8_t head[HEAD] = { 0 };
    writer w = { head, 0 };
    int err = 0;

    (void)put_bytes(&w, magic, sizeof magic);
    put(&w, VERSION, 4);
    put(&w, (uint64_t)clean, 4);
    put(&w, f->len - HEAD, 8);
    put(&w, mscope_table_layout(), 8);
    if (clean) {
        const mscope_session *ses = NULL;
        for (unsigned i = 0; i < MSCOPE_SESSIONS; i++)
            if (e->sessions[i].id != 0 && e->sessions[i].id == s->session)
                ses = &e->sessions[i];
        put(&w, s->session, 8);
        put(&w, ses != NULL ? ses->next : 0, 8);
        put(&w, ses == NULL || ses->left, 4);
        err = mscope_store_put_shadow(e, s, &w);
    }
    if (err || w.len > HEAD - 8)
        return MSCOPE_ESTATE;
    w.len = HEAD - 4;
    put(&w, crc32_of(head, HEAD - 4), 4);
    return pwrite(f->fd, head, HEAD, 0) == HEAD && fsync(f->fd) == 0 ? 0 : MSCOPE_EIO;
}

int mscope_mapped_open(const mscope_engine *e, const mscope_hello *hello, size_t len, mscope_map_file *out, mscope_refusal *why)
{
    char temp[1200], path[1200], range[64];
    mscope_map_file f = { .len = HEAD + len };
    int err = path_of(e, hello->table, ".new", temp) || path_of(e, hello->table, "", path);

    f.fd = err ? -1 : open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (f.fd < 0)
        return mscope_refusal_set(why, MSCOPE_EIO, "table", "a file in --map-dir", strerror(errno), "%s", hello->table);
    err = posix_fallocate(f.fd, 0, (off_t)f.len);
    if (err == 0 && write_head(e, NULL, &f, 0) == 0 && map_file(&f) == 0 && rename(temp, path) == 0) {
        *out = f;
        return 0;
    }
    if (f.base != NULL && f.base != MAP_FAILED)
        (void)munmap(f.base, f.len);
    (void)unlink(temp);
    (void)close(f.fd);
    (void)snprintf(range, sizeof range, "%zu bytes free in --map-dir", f.len);
    return mscope_refusal_set(why, MSCOPE_ENOMEM, "rows", range, err ? strerror(err) : "the file cannot be mapped", "%u rows",
                              hello->rows);
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
        mscope_log(MSCOPE_LOG_ERROR, "store", "table %s could not be left in order: %s; it will be sent again", s->hello.table,
                   strerror(errno));
    e->bytes -= s->mem_len;
    (void)munmap(s->map.base, s->map.len);
    (void)close(s->map.fd);
    memset(s, 0, sizeof *s);
    return err;
}

/* -- at start --------------------------------------------------------------------------------- */

/* Sessions that hold mapped tables, with the highest number any of their tables, or the state file, knows. */
static int session_in(mscope_engine *e, uint64_t id, uint64_t next, int left, uint64_t now_ns)
{
    mscope_session *ses = mscope_session_find(e, id);

    if (id == 0)
        return 0;
    if (ses == NULL && (ses = mscope_session_find(e, 0)) == NULL)
        return MSCOPE_ENOMEM;
    if (ses->id == 0)
        *ses = (mscope_session){ .id = id, .left = left };
    ses->heard_ns = now_ns;
    ses->next = next > ses->next ? next : ses->next;
    return 0;
}

/* A whole head, and what it says; dirty: 1 and nothing more. */
static int read_head(mscope_map_file *f, source *src, uint8_t head[HEAD], const char **why)
{
    struct stat st;
    uint64_t version, clean, len, layout;
    uint8_t found[sizeof magic];

    *why = "not a table of momentscoped";
    if (fstat(f->fd, &st) != 0 || pread(f->fd, head, HEAD, 0) != HEAD || memcmp(head, magic, sizeof magic) != 0)
        return MSCOPE_EPROTO;
    *src = (source){ head + HEAD - 4, 4, 0 };
    *why = "its head is damaged";
    if (get(src, 4) != crc32_of(head, HEAD - 4))
        return MSCOPE_EPROTO;
    *src = (source){ head, HEAD - 4, 0 };
    (void)get_bytes(src, found, sizeof found);
    version = get(src, 4);
    clean = get(src, 4);
    len = get(src, 8);
    layout = get(src, 8);
    if (clean != 1)
        return 1;
    *why = "another build of momentscoped made it";
    if (version != VERSION || layout != mscope_table_layout())
        return MSCOPE_EVERSION;
    *why = "it was cut or grown";
    f->len = HEAD + (size_t)len;
    return (uint64_t)st.st_size == HEAD + len ? 0 : MSCOPE_EPROTO;
}

static mscope_shadow *free_place(mscope_engine *e)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        if (!e->shadows[i].used)
            return &e->shadows[i];
    return NULL;
}

static int take_over(mscope_engine *e, mscope_map_file *f, source *src, uint64_t now_ns, const char **why)
{
    const uint64_t session = get(src, 8), next = get(src, 8);
    const int left = get(src, 4) != 0;
    mscope_shadow s = { 0 }, *at = free_place(e);
    uint32_t history, configured = e->cfg.history;
    mscope_hello hello;
    int err = at == NULL ? MSCOPE_ENOMEM : mscope_store_get_hello(src, &hello, &history);

    *why = "--max-tables or --max-bytes is smaller than when it was made, or its shape is not what its head says";
    if (!err)
        err = map_file(f);
    if (err)
        return err;
    s.map = *f;
    e->cfg.history = history;
    err = mscope_shadow_adopt(e, &s, &hello, (char *)f->base + HEAD, f->len - HEAD);
    e->cfg.history = configured;
    if (!err)
        err = session_in(e, session, next, left, now_ns);
    if (!err)
        err = write_head(e, NULL, f, 0);         /* from here on it is open */
    if (err) {
        (void)munmap(f->base, f->len);
        return err;
    }
    mscope_store_get_shadow(src, &s, now_ns);
    e->bytes += s.mem_len;
    *at = s;
    return src->cut ? MSCOPE_EPROTO : 0;
}

static int load_one(mscope_engine *e, const char *name, int discard, uint64_t now_ns)
{
    char path[1400];
    uint8_t head[HEAD];
    mscope_map_file f = { 0 };
    source src;
    const char *why = "";
    int err;

    (void)snprintf(path, sizeof path, "%s/%s", e->cfg.map_dir, name);
    f.fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (f.fd < 0) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "cannot open %s: %s", path, strerror(errno));
        return MSCOPE_EIO;
    }
    err = read_head(&f, &src, head, &why);
    if (err == 0)
        err = take_over(e, &f, &src, now_ns, &why);
    if (err == 0) {
        mscope_log(MSCOPE_LOG_INFO, "store", "%s taken over: %zu bytes", path, f.len);
        return 0;
    }
    (void)close(f.fd);
    if (err == 1) {
        mscope_engine_alert(e, NULL, "dropped", "%.120s was not left in order: its trainer sends the table again", name);
        (void)unlink(path);
        return 0;
    }
    mscope_log(MSCOPE_LOG_ERROR, "store", "%s cannot be taken over: %s%s", path, why,
               discard ? "; removed" : "; remove it, or start with --discard-state");
    return discard && err != MSCOPE_EIO && unlink(path) == 0 ? 0 : err;
}

int mscope_mapped_load(mscope_engine *e, int discard, uint64_t now_ns, int *lock)
{
    char name[1200];
    struct dirent *entry;
    struct stat is;
    int err = 0;
    DIR *dir;

    if (mkdir(e->cfg.map_dir, 0700) == 0)
        mscope_log(MSCOPE_LOG_INFO, "store", "--map-dir %s was not there: made", e->cfg.map_dir);
    else if (errno != EEXIST) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "--map-dir %s: %s", e->cfg.map_dir, strerror(errno));
        return MSCOPE_EIO;
    }
    if (stat(e->cfg.map_dir, &is) != 0 || !S_ISDIR(is.st_mode)) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "--map-dir is '%s', expected a directory", e->cfg.map_dir);
        return MSCOPE_EIO;
    }
    (void)snprintf(name, sizeof name, "%s/tables", e->cfg.map_dir);
    err = mscope_store_lock("map-dir", e->cfg.map_dir, name, lock);
    dir = err ? NULL : opendir(e->cfg.map_dir);
    if (dir == NULL)
        return err ? err : MSCOPE_EIO;
    while (!err && (entry = readdir(dir)) != NULL) {
        size_t n = strlen(entry->d_name), k = strlen(SUFFIX);
        if (n > k && strcmp(entry->d_name + n - k, SUFFIX) == 0)
            err = load_one(e, entry->d_name, discard, now_ns);
    }
    (void)closedir(dir);
    return err;
}
