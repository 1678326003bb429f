/* stream.h - little-endian numbers into and out of memory, one after the other, for the files of the daemon */
#ifndef MSCOPE_DAEMON_STREAM_H
#define MSCOPE_DAEMON_STREAM_H

#include <string.h>

#include "mscope/err.h"
#include "protocol/bytes.h"

typedef struct mscope_writer {
    uint8_t *at;                         /* NULL: only count, or hand over                       */
    size_t len;
    int (*put)(void *to, const void *bytes, size_t len);     /* NULL: at[len] has room for everything */
    void *to;
} mscope_writer;

typedef struct mscope_reader {
    const uint8_t *at;
    size_t left;
    int cut;                             /* something was read past the end                      */
} mscope_reader;

/* The two calls on bytes have the shape that the core's snapshots want. */
static inline int mscope_write_bytes(void *writer, const void *bytes, size_t len)
{
    mscope_writer *w = writer;

    if (w->at != NULL)
        memcpy(w->at + w->len, bytes, len);
    w->len += len;
    return w->put != NULL ? w->put(w->to, bytes, len) : 0;
}

static inline int mscope_read_bytes(void *reader, void *bytes, size_t len)
{
    mscope_reader *s = reader;

    if (len > s->left) {
        s->cut = 1;
        memset(bytes, 0, len);
        return MSCOPE_EPROTO;
    }
    memcpy(bytes, s->at, len);
    s->at += len;
    s->left -= len;
    return 0;
}

static inline void mscope_write_u(mscope_writer *w, uint64_t v, int bytes)
{
    uint8_t le[8];

    mscope_put_le(le, v, bytes);
    (void)mscope_write_bytes(w, le, (size_t)bytes);
}

static inline uint64_t mscope_read_u(mscope_reader *s, int bytes)
{
    uint8_t le[8];

    return mscope_read_bytes(s, le, (size_t)bytes) == 0 ? mscope_get_le(le, bytes) : 0;
}

static inline void mscope_write_f64(mscope_writer *w, double x)
{
    mscope_write_u(w, mscope_f64_bits(x), 8);
}

static inline double mscope_read_f64(mscope_reader *s)
{
    return mscope_bits_f64(mscope_read_u(s, 8));
}

#endif
