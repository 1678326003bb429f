/* ring.h - items from one thread to another: one producer, one consumer, no lock
 *
 * A full ring refuses the new item and counts it: dropping the oldest would make the producer move the consumer's
 * index. Indices only grow; their difference is the fill.                                                      */
#ifndef MSCOPE_DAEMON_RING_H
#define MSCOPE_DAEMON_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "mscope/err.h"

typedef struct mscope_ring {
    unsigned char *slots;                /* the caller's                                         */
    size_t size, mask;                   /* bytes of a slot; slots - 1                           */
    alignas(64) _Atomic size_t head;     /* written by the producer                              */
    alignas(64) _Atomic size_t tail;     /* written by the consumer                              */
    alignas(64) _Atomic uint64_t dropped;
} mscope_ring;

/* mscope_ring_init - n slots of `size` bytes each, n a power of two; Errors MSCOPE_EINVAL */
MSCOPE_MUST_CHECK int mscope_ring_init(mscope_ring *r, void *slots, size_t size, size_t n);

/* Producer: a slot to fill, or NULL (counted) when the ring is full; then commit. */
void *mscope_ring_reserve(mscope_ring *r);
void mscope_ring_commit(mscope_ring *r);

/* Consumer: the oldest item, or NULL; then release. */
const void *mscope_ring_peek(mscope_ring *r);
void mscope_ring_release(mscope_ring *r);
size_t mscope_ring_fill(const mscope_ring *r);       /* items that wait */

#endif
