/* restore.c - see restore.h */
#include "restore.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "log.h"
#include "mapped.h"
#include "records.h"
#include "sessions.h"
#include "shadow.h"
#include "store.h"

enum { LEAST = 24 };                         /* bytes of a state file: magic, version, two counts, checksum */

/* -- the state file --------------------------------------------------------------------------- */

static int get_table(mscope_engine *e, mscope_shadow *at, mscope_reader *src, uint64_t now_ns)
{
    const uint32_t configured = e->cfg.history;
    uint32_t history;
    mscope_refusal why = { .text = "cut short" };
    uint64_t attached_at;
    mscope_hello hello;
    mscope_shadow s;
    int err = mscope_image_get_hello(src, &hello, &history);

    if (err)
        return err;
    attached_at = hello.step;
    hello.step = 0;                          /* the snapshot knows the step */
    if (history != configured && history != 0 && configured != 0)
        mscope_log(MSCOPE_LOG_WARN, "store",
                   "--history %u is ignored for a table of the state file, which was made with %u", configured,
                   history);
    err = mscope_shadow_open(e, &s, &hello, history, 0, &why);
    if (err) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "cannot make a table of the state file: %s is %s, expected %s", why.field,
                   why.value, why.range);
        return err;
    }
    mscope_image_get(src, &s, now_ns);
    s.hello.step = attached_at;
    *at = s;
    err = mscope_table_snapshot_read(s.core, mscope_read_bytes, src);
    return err ? err : src->cut ? MSCOPE_EPROTO : 0;
}

static int get_state(mscope_engine *e, mscope_reader *src, uint64_t now_ns)
{
    uint8_t head[sizeof mscope_store_magic];
    uint64_t sessions, tables;
    int err = 0;

    if (mscope_read_bytes(src, head, sizeof head) || memcmp(head, mscope_store_magic, sizeof mscope_store_magic) != 0)
        return MSCOPE_EPROTO;
    if (mscope_read_u(src, 4) != MSCOPE_STORE_VERSION)
        return MSCOPE_EVERSION;
    sessions = mscope_read_u(src, 4);
    tables = mscope_read_u(src, 4);
    if (sessions > MSCOPE_SESSIONS)
        return MSCOPE_EPROTO;
    if (tables > e->cfg.max_tables) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "the state file has %llu tables, but --max-tables is %u",
                   (unsigned long long)tables, e->cfg.max_tables);
        return MSCOPE_ENOMEM;
    }
    for (uint64_t i = 0; i < sessions; i++) {
        e->sessions[i].id = mscope_read_u(src, 8);
        e->sessions[i].next = mscope_read_u(src, 8);
        e->sessions[i].left = mscope_read_u(src, 4) != 0;
        e->sessions[i].heard_ns = now_ns;
    }
    for (uint64_t i = 0; i < tables && !err; i++)
        err = get_table(e, &e->shadows[i], src, now_ns);
    return err ? err : src->cut || src->left != 0 ? MSCOPE_EPROTO : 0;
}

int mscope_restore_bytes(mscope_engine *e, const uint8_t *p, size_t len, const char *path, uint64_t now_ns)
{
    if (len < LEAST || memcmp(p, mscope_store_magic, sizeof mscope_store_magic) != 0) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "%s is not a state file of momentscoped (%zu bytes)", path, len);
        return MSCOPE_EPROTO;
    }
    const uint32_t said = mscope_get32(p + len - 4), found = mscope_crc32(0, p, len - 4);
    if (found != said) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "state file %s is damaged: checksum 0x%08x, expected 0x%08x", path, said,
                   found);
        return MSCOPE_EPROTO;
    }
    mscope_reader src = { p, len - 4, 0 };
    const int err = get_state(e, &src, now_ns);
    if (err)
        mscope_log(MSCOPE_LOG_ERROR, "store", "cannot load state file %s: %s", path, mscope_strerror(err));
    return err;
}

int mscope_restore_state(mscope_engine *e, const char *path, uint64_t now_ns)
{
    struct stat st;
    uint8_t *p = MAP_FAILED;
    int err, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);        /* a pipe would wait for its writer */

    if (fd < 0 && errno == ENOENT)
        return 1;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) ||
        (st.st_mode & 022) != 0) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "cannot use state file %s: %s", path,
                   fd < 0 ? strerror(errno) : "expected a regular file of this user that others cannot change");
        if (fd >= 0)
            (void)close(fd);
        return MSCOPE_EIO;
    }
    if (st.st_size >= LEAST)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    err = mscope_restore_bytes(e, p, p != MAP_FAILED || st.st_size < LEAST ? (size_t)st.st_size : 0, path, now_ns);
    if (p != MAP_FAILED)
        (void)munmap(p, (size_t)st.st_size);
    return err;
}

/* -- mapped tables ----------------------------------------------------------------------------- */

/* The session that holds a mapped table. Its next number is the highest that any of its tables, or the state file,
 * knows. */
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

static mscope_shadow *free_place(mscope_engine *e)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        if (!e->shadows[i].used)
            return &e->shadows[i];
    return NULL;
}

static int take_over(mscope_engine *e, mscope_map_file *f, mscope_reader *src, uint64_t now_ns, const char **why)
{
    const uint64_t session = mscope_read_u(src, 8), next = mscope_read_u(src, 8);
    const int left = mscope_read_u(src, 4) != 0;
    mscope_shadow s = { 0 }, *at = free_place(e);
    uint32_t history;
    mscope_hello hello;
    int err = at == NULL ? MSCOPE_ENOMEM : mscope_image_get_hello(src, &hello, &history);

    *why = "--max-tables or --max-bytes is smaller than when it was made, or its shape does not fit its head";
    if (!err)
        err = mscope_mapped_map(f);
    if (err)
        return err;
    s.map = *f;
    err = mscope_shadow_adopt(e, &s, &hello, history, (char *)f->base + MSCOPE_MAPPED_HEAD,
                              f->len - MSCOPE_MAPPED_HEAD);
    if (!err)
        err = session_in(e, session, next, left, now_ns);
    if (!err)
        err = mscope_mapped_mark_dirty(f);         /* from here on it is open */
    if (err) {
        (void)munmap(f->base, f->len);
        return err;
    }
    mscope_image_get(src, &s, now_ns);
    e->bytes += s.mem_len;
    *at = s;
    return src->cut ? MSCOPE_EPROTO : 0;
}

static int load_one(mscope_engine *e, const char *name, int discard, uint64_t now_ns)
{
    char path[1400];
    uint8_t head[MSCOPE_MAPPED_HEAD];
    mscope_map_file f = { 0 };
    mscope_reader src;
    const char *why = "";
    int err;

    (void)snprintf(path, sizeof path, "%s/%s", e->cfg.map_dir, name);
    f.fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (f.fd < 0) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "cannot open %s: %s", path, strerror(errno));
        return MSCOPE_EIO;
    }
    err = mscope_mapped_read_head(&f, &src, head, &why);
    if (err == 0)
        err = take_over(e, &f, &src, now_ns, &why);
    if (err == 0) {
        mscope_log(MSCOPE_LOG_INFO, "store", "%s taken over: %zu bytes", path, f.len);
        return 0;
    }
    (void)close(f.fd);
    if (err == 1) {
        mscope_engine_alert(e, NULL, "dropped",
                            "%.120s was not left clean and is removed: its trainer sends the table again", name);
        (void)unlink(path);
        return 0;
    }
    mscope_log(MSCOPE_LOG_ERROR, "store", "cannot take over %s: %s%s", path, why,
               discard ? "; removed" : "; remove it, or start with --discard-state");
    return discard && err != MSCOPE_EIO && unlink(path) == 0 ? 0 : err;
}

int mscope_restore_tables(mscope_engine *e, int discard, uint64_t now_ns, int *lock)
{
    struct dirent *entry;
    struct stat is;
    int err = 0;
    DIR *dir;

    if (mkdir(e->cfg.map_dir, 0700) == 0)
        mscope_log(MSCOPE_LOG_INFO, "store", "created directory %s (--map-dir)", e->cfg.map_dir);
    else if (errno != EEXIST) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "cannot create directory %s (--map-dir): %s", e->cfg.map_dir,
                   strerror(errno));
        return MSCOPE_EIO;
    }
    if (stat(e->cfg.map_dir, &is) != 0 || !S_ISDIR(is.st_mode)) {
        mscope_log(MSCOPE_LOG_ERROR, "store", "--map-dir is '%s', expected a directory", e->cfg.map_dir);
        return MSCOPE_EIO;
    }
    err = mscope_mapped_lock(e->cfg.map_dir, lock);
    dir = err ? NULL : opendir(e->cfg.map_dir);
    if (dir == NULL)
        return err ? err : MSCOPE_EIO;
    while (!err && (entry = readdir(dir)) != NULL) {
        size_t n = strlen(entry->d_name), k = strlen(MSCOPE_MAPPED_SUFFIX);
        if (n > k && strcmp(entry->d_name + n - k, MSCOPE_MAPPED_SUFFIX) == 0)
            err = load_one(e, entry->d_name, discard, now_ns);
    }
    (void)closedir(dir);
    return err;
}
