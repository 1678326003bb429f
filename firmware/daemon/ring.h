/* ring.h - records from the engine thread to the publisher thread, one producer and one consumer, no lock
 *
 * A full ring refuses the new record and counts it: dropping the oldest would make the producer move the
 * consumer's index. Indices only grow; their difference is the fill.                            */
#ifndef MSCOPE_DAEMON_RING_H
#define MSCOPE_DAEMON_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>

#include "mscope/wire.h"

typedef struct mscope_ring {
    mscope_record *slots;                /* the caller's, a power of two of them */
    size_t mask;
    alignas(64) _Atomic size_t head;     /* written by the producer              */
    alignas(64) _Atomic size_t tail;     /* written by the consumer              */
    alignas(64) _Atomic uint64_t dropped;
} mscope_ring;

/* mscope_ring_init - slots[n], n a power of two; Errors MSCOPE_EINVAL */
MSCOPE_MUST_CHECK int mscope_ring_init(mscope_ring *r, mscope_record *slots, size_t n);

/* Producer: a slot to fill, or NULL (counted) when the ring is full; then commit. */
mscope_record *mscope_ring_reserve(mscope_ring *r);
void mscope_ring_commit(mscope_ring *r);

/* Consumer: the oldest record, or NULL; then release. */
const mscope_record *mscope_ring_peek(mscope_ring *r);
void mscope_ring_release(mscope_ring *r);

#endif
