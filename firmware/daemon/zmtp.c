/* zmtp.c - see zmtp.h */
#include "zmtp.h"

#include <string.h>

enum { GREETING = 64, REVISION = 10, MECHANISM = 12 };
enum stage { GREET, HEAD, BEGIN, REST };

/* The greeting: FF, 8 bytes of padding, 7F, revision 3, minor, mechanism in 20 bytes, as-server, 31 zeros. Peers of
 * revision 1 and 2 have no handshake that could be checked. */
static int greet(mscope_zmtp *z, uint8_t byte)
{
    static const uint8_t curve[5] = { 'C', 'U', 'R', 'V', 'E' };
    const unsigned i = z->got++;

    if ((i == 0 && byte != 0xff) || (i == 9 && (byte & 1) == 0) || (i == REVISION && byte < 3))
        return -1;
    if (i == MECHANISM)
        z->curve = 1;
    if (i >= MECHANISM && i < MECHANISM + sizeof curve)
        z->curve = z->curve && byte == curve[i - MECHANISM];
    if (z->got == GREETING) {
        z->stage = HEAD;
        z->got = 0;
    }
    return 0;
}

static void take_head(mscope_zmtp *z, uint8_t byte)
{
    z->head[z->got++] = byte;
    const unsigned whole = z->head[0] & MSCOPE_ZMTP_LONG ? 9 : 2;
    if (z->got < whole)
        return;
    z->size = 0;
    for (unsigned i = 1; i < whole; i++)
        z->size = z->size << 8 | z->head[i];
    z->stage = BEGIN;
    z->got = 0;
}

/* Returns how many of n bytes were taken. */
static size_t take_begin(mscope_zmtp *z, const uint8_t *at, size_t n)
{
    const size_t whole = z->size < MSCOPE_ZMTP_BEGIN ? (size_t)z->size : MSCOPE_ZMTP_BEGIN, lacks = whole - z->got;
    const size_t took = n < lacks ? n : lacks;

    memcpy(z->begin + z->got, at, took);
    z->got = (uint8_t)(z->got + took);
    if (took == lacks) {
        z->left = z->size - whole;
        z->stage = REST;
        z->got = 0;
    }
    return took;
}

int mscope_zmtp_feed(mscope_zmtp *z, const uint8_t *at, size_t len,
                     int (*frame)(void *context, const mscope_zmtp_frame *f), void *context)
{
    const uint8_t *const end = at + len;

    while (at < end || (z->stage == BEGIN && z->size == 0)) {
        if (z->stage == GREET) {
            if (greet(z, *at++) != 0)
                return -1;
        } else if (z->stage == HEAD) {
            take_head(z, *at++);
        } else if (z->stage == BEGIN) {
            at += take_begin(z, at, (size_t)(end - at));
            const mscope_zmtp_frame f = { z->head[0], z->size, z->begin };
            const int rc = z->stage == REST ? frame(context, &f) : 0;
            if (rc != 0)
                return rc;
        } else {
            const size_t skip = z->left < (uint64_t)(end - at) ? (size_t)z->left : (size_t)(end - at);
            at += skip;
            z->left -= skip;
        }
        if (z->stage == REST && z->left == 0)
            z->stage = HEAD;
    }
    return 0;
}
