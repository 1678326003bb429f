/* shm_ring.h - a ring of bytes in a memfd, from which the daemon reads message bodies in place
 *
 * Messages are acknowledged in the order in which they were made, so pieces are freed in that order too. An empty ring
 * begins again at its start: a trainer whose daemon keeps up stays in the same few, warm pages. Nothing here waits. */
#ifndef MSCOPE_CLIENT_SHM_RING_H
#define MSCOPE_CLIENT_SHM_RING_H

#include <stdint.h>

#include "mscope/err.h"
#include "protocol/shm.h"

static inline uint64_t mscope_shm_aligned(uint64_t bytes)
{
    return (bytes + MSCOPE_SHM_ALIGN - 1) / MSCOPE_SHM_ALIGN * MSCOPE_SHM_ALIGN;
}

/* Positions count bytes without wrapping; position p lies at byte p % len. */
typedef struct mscope_shm_ring {
    int memory;                          /* the memfd, or -1                                           */
    uint8_t *at;                         /* NULL: there is no ring                                     */
    uint64_t len, head, tail;            /* head: next free byte; tail: oldest byte in use             */
    uint64_t warm;                       /* bytes from the start on whose pages are present            */
} mscope_shm_ring;

void mscope_shm_ring_init(mscope_shm_ring *r);
/* mscope_shm_ring_make - a ring of so many bytes, a multiple of the page size; at stays NULL without memory */
void mscope_shm_ring_make(mscope_shm_ring *r, uint64_t bytes);
void mscope_shm_ring_fini(mscope_shm_ring *r);
/* mscope_shm_ring_warm - bring in the next few pages of the first MiB; 1: they are all there
 * Cost     16 pages, some 20 to 60 us                                                                          */
MSCOPE_MUST_CHECK int mscope_shm_ring_warm(mscope_shm_ring *r);

/* mscope_shm_ring_reserve - one contiguous piece between positions begin and end; it lies at the end of them
 * Returns  0, or 1: no room now */
MSCOPE_MUST_CHECK int mscope_shm_ring_reserve(mscope_shm_ring *r, uint64_t bytes, uint64_t *begin, uint64_t *end);
/* mscope_shm_ring_release - free the oldest piece (acknowledged) or the newest one (given up before it was sent) */
void mscope_shm_ring_release(mscope_shm_ring *r, uint64_t begin, uint64_t end);
/* mscope_shm_ring_room - 0: a piece of so many bytes must wait until others are freed; 1: it fits now or never */
int mscope_shm_ring_room(const mscope_shm_ring *r, uint64_t bytes);

#endif
