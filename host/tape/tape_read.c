/* tape_read.c - tapes read through a mapping; every entry is checked before it is given out */
#include "tape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/bytes.h"
#include "protocol/refusal.h"

/* -- the file ----------------------------------------------------------------------------------------- */

static int check_header(mscope_tape *t, mscope_refusal *why)
{
    const uint8_t *h = t->map;
    char range[64];

    if (t->size < MSCOPE_TAPE_HEADER || memcmp(h, MSCOPE_TAPE_MAGIC, 8) != 0)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "magic", "MSCPTAPE and a header of 64 bytes", "not a recording",
                                  "%.*s, %zu bytes", (int)(t->size < 8 ? t->size : 8), (const char *)h, t->size);
    const uint32_t crc = mscope_crc32(0, h, 60), said = (uint32_t)mscope_get_le(h + 60, 4);
    if (crc != said) {
        (void)snprintf(range, sizeof range, "0x%08x", crc);
        return mscope_refusal_set(why, MSCOPE_EPROTO, "crc", range, "the file's header was damaged", "0x%08x", said);
    }
    const unsigned version = (unsigned)mscope_get_le(h + 8, 2), wire = (unsigned)mscope_get_le(h + 10, 2);
    if (version != MSCOPE_TAPE_VERSION)
        return mscope_refusal_set(why, MSCOPE_EVERSION, "version", "1", "a recording of another version", "%u",
                                  version);
    if (wire != MSCOPE_WIRE_VERSION)
        return mscope_refusal_set(why, MSCOPE_EVERSION, "wire", "1", "messages of another version of the wire", "%u",
                                  wire);
    t->id = mscope_get_le(h + 16, 8);
    t->started_ns = mscope_get_le(h + 24, 8);
    return 0;
}

int mscope_tape_open(mscope_tape *t, const char *path, mscope_refusal *why)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *map = MAP_FAILED;

    memset(t, 0, sizeof *t);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        const char *text = fd < 0 ? strerror(errno) : "not a regular file";
        if (fd >= 0)
            (void)close(fd);
        return mscope_refusal_set(why, MSCOPE_EIO, "file", "a file that can be read", text, "%s", path);
    }
    t->size = (size_t)st.st_size;
    if (t->size > 0)
        map = mmap(NULL, t->size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (map == MAP_FAILED) {
        if (t->size > 0)
            return mscope_refusal_set(why, MSCOPE_EIO, "file", "a file that can be mapped", strerror(errno), "%s",
                                      path);
        return mscope_refusal_set(why, MSCOPE_EPROTO, "magic", "MSCPTAPE and a header of 64 bytes", "not a recording",
                                  "an empty file");
    }
    const int rc = mscope_tape_over(t, map, t->size, why);
    if (rc != 0)
        mscope_tape_close(t);
    return rc;
}

int mscope_tape_over(mscope_tape *t, const uint8_t *bytes, size_t size, mscope_refusal *why)
{
    *t = (mscope_tape){ .map = bytes, .size = size };
    const int rc = check_header(t, why);
    if (rc == 0)
        mscope_tape_rewind(t);
    return rc;
}

void mscope_tape_rewind(mscope_tape *t)
{
    t->at = MSCOPE_TAPE_HEADER;
    t->entries = t->time_ns = 0;
    t->ended = t->cut = 0;
}

void mscope_tape_close(mscope_tape *t)
{
    if (t->map != NULL)
        (void)munmap((void *)(uintptr_t)t->map, t->size);
    memset(t, 0, sizeof *t);
}

/* -- entries -------------------------------------------------------------------------------------------- */

static int damage(const mscope_tape *t, mscope_refusal *why, const char *field, const char *range,
                  unsigned long long value)
{
    char text[160];

    (void)snprintf(text, sizeof text, "entry %llu at byte %zu is damaged; the %llu before it are whole",
                   (unsigned long long)t->entries + 1, t->at, (unsigned long long)t->entries);
    return mscope_refusal_set(why, MSCOPE_EPROTO, field, range, text, "%llu", value);
}

static int take_message(const mscope_tape *t, const uint8_t *body, size_t len, mscope_entry *e, mscope_refusal *why)
{
    size_t at = 4 * (size_t)e->parts;

    if (e->parts < 1 || e->parts > MSCOPE_TAPE_PARTS || len < at)
        return damage(t, why, "parts", "1..8, and room for their lengths", e->parts);
    for (unsigned i = 0; i < e->parts; i++) {
        e->part[i] = body + at;
        e->len[i] = (size_t)mscope_get_le(body + 4 * (size_t)i, 4);
        if (e->len[i] > len - at)
            return damage(t, why, "part length", "within the entry", e->len[i]);
        at += e->len[i];
    }
    if (at != len)
        return damage(t, why, "length", "that of its parts", len);
    return mscope_header_decode(e->part[0], e->len[0], &e->header, why);
}

static int take_numbers(mscope_tape *t, const uint8_t *body, size_t len, mscope_entry *e, mscope_refusal *why)
{
    const size_t want = e->kind == MSCOPE_ENTRY_LOST ? 24 : 16;

    if (len != want || e->parts != 0)
        return damage(t, why, "length", want == 24 ? "24" : "16", len);
    if (e->kind == MSCOPE_ENTRY_LOST) {
        e->lost_session = mscope_get_le(body, 8);
        e->lost_first = mscope_get_le(body + 8, 8);
        e->lost_last = mscope_get_le(body + 16, 8);
        return e->lost_first <= e->lost_last && e->lost_first > 0
                   ? 0
                   : damage(t, why, "first lost", "1..last", e->lost_first);
    }
    e->end_messages = mscope_get_le(body, 8);
    e->end_lost = mscope_get_le(body + 8, 8);
    t->ended = 1;
    return 0;
}

int mscope_tape_next(mscope_tape *t, mscope_entry *e, mscope_refusal *why)
{
    const uint8_t *h = t->map + t->at, *body = h + MSCOPE_TAPE_ENTRY;
    const size_t left = t->size - t->at;
    int rc;

    if (left == 0)
        return 0;
    if (t->ended)
        return damage(t, why, "bytes after END", "0", left);
    if (left < MSCOPE_TAPE_ENTRY) {
        t->cut = 1;
        return 0;
    }
    if (mscope_crc32(0, h, 28) != (uint32_t)mscope_get_le(h + 28, 4))
        return damage(t, why, "entry crc", "that of its 28 bytes", mscope_get_le(h + 28, 4));
    const size_t len = (size_t)mscope_get_le(h, 4);
    if (len > left - MSCOPE_TAPE_ENTRY) {
        t->cut = 1;
        return 0;
    }
    memset(e, 0, sizeof *e);
    e->kind = (enum mscope_entry_kind)h[4];
    e->parts = h[5];
    e->number = mscope_get_le(h + 8, 8);
    e->time_ns = mscope_get_le(h + 16, 8);
    if (mscope_crc32(0, body, len) != (uint32_t)mscope_get_le(h + 24, 4))
        return damage(t, why, "body crc", "that of its bytes", mscope_get_le(h + 24, 4));
    if (h[4] < MSCOPE_ENTRY_MESSAGE || h[4] > MSCOPE_ENTRY_END)
        return damage(t, why, "kind", "1..3", h[4]);
    if (e->number != t->entries + 1)
        return damage(t, why, "number", "one more than the last", e->number);
    if (e->time_ns < t->time_ns)
        return damage(t, why, "time", "not before the last", e->time_ns);
    rc = e->kind == MSCOPE_ENTRY_MESSAGE ? take_message(t, body, len, e, why) : take_numbers(t, body, len, e, why);
    if (rc != 0)
        return rc;
    t->entries++;
    t->time_ns = e->time_ns;
    t->at += MSCOPE_TAPE_ENTRY + len;
    return 1;
}
