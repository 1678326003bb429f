/* shm_ring.c - a ring of bytes in a memfd, sealed so that it cannot shrink under its reader */
#include "shm_ring.h"

#include <fcntl.h>

#include <sys/mman.h>
#include <unistd.h>

#define WARM ((uint64_t)1 << 20)     /* bytes of the ring whose pages are brought in before it is offered; an empty
                                      * ring begins at its start again */
#define SLICE ((uint64_t)1 << 16)    /* of them at a time */

void mscope_shm_ring_init(mscope_shm_ring *r)
{
    *r = (mscope_shm_ring){ .memory = -1 };
}

void mscope_shm_ring_fini(mscope_shm_ring *r)
{
    if (r->at != NULL)
        (void)munmap(r->at, r->len);
    if (r->memory >= 0)
        (void)close(r->memory);
    mscope_shm_ring_init(r);
}

void mscope_shm_ring_make(mscope_shm_ring *r, uint64_t bytes)
{
    void *at = MAP_FAILED;

    r->memory = memfd_create("momentscope", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (r->memory >= 0 && ftruncate(r->memory, (off_t)bytes) == 0 &&
        fcntl(r->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->memory, 0);
    if (at == MAP_FAILED) {
        mscope_shm_ring_fini(r);
        return;
    }
#ifdef F_SEAL_FUTURE_WRITE
    (void)fcntl(r->memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);    /* nobody else can map it for writing; Linux 5.1 */
#endif
    (void)madvise(at, bytes, MADV_DONTFORK);
    r->at = at;
    r->len = bytes;
}

int mscope_shm_ring_warm(mscope_shm_ring *r)
{
    const uint64_t most = r->len < WARM ? r->len : WARM;

#ifdef MADV_POPULATE_WRITE
    /* the first steps need not fault their pages in one by one; Linux 5.14 */
    if (r->warm < most)
        (void)madvise(r->at + r->warm, most - r->warm < SLICE ? most - r->warm : SLICE, MADV_POPULATE_WRITE);
    r->warm += SLICE;
    return r->warm >= most;
#else
    r->warm = most;
    return 1;
#endif
}

/* Bodies of one message lie in one piece: a piece that would cross the end begins at the start instead. */
static int find(const mscope_shm_ring *r, uint64_t bytes, uint64_t *pos)
{
    uint64_t n = mscope_shm_aligned(bytes);

    *pos = r->head;
    if (n > r->len)
        return 1;
    if (*pos % r->len + n > r->len)
        *pos += r->len - *pos % r->len;
    return *pos + n - r->tail > r->len;
}

int mscope_shm_ring_room(const mscope_shm_ring *r, uint64_t bytes)
{
    uint64_t pos;

    return bytes > r->len || r->head == r->tail || find(r, bytes, &pos) == 0;
}

int mscope_shm_ring_reserve(mscope_shm_ring *r, uint64_t bytes, uint64_t *begin, uint64_t *end)
{
    uint64_t pos;

    if (r->head == r->tail)
        r->head = r->tail = 0;
    if (r->len == 0 || find(r, bytes, &pos) != 0)
        return 1;
    *begin = r->head;
    *end = r->head = pos + mscope_shm_aligned(bytes);
    return 0;
}

void mscope_shm_ring_release(mscope_shm_ring *r, uint64_t begin, uint64_t end)
{
    if (begin == r->tail)
        r->tail = end;
    else
        r->head = begin;
}
