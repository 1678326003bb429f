/* ring.c - see ring.h
 *
 * The producer's release store of head publishes the slot; the consumer's release store of tail gives it back. */
#include "ring.h"

int mscope_ring_init(mscope_ring *r, void *slots, size_t size, size_t n)
{
    if (slots == NULL || n == 0 || (n & (n - 1)) != 0)
        return MSCOPE_EINVAL;
    r->slots = slots;
    r->size = size;
    r->mask = n - 1;
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    atomic_init(&r->dropped, 0);
    return 0;
}

void *mscope_ring_reserve(mscope_ring *r)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    if (head - atomic_load_explicit(&r->tail, memory_order_acquire) > r->mask) {
        atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
        return NULL;
    }
    return r->slots + (head & r->mask) * r->size;
}

void mscope_ring_commit(mscope_ring *r)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

const void *mscope_ring_peek(mscope_ring *r)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
        return NULL;
    return r->slots + (tail & r->mask) * r->size;
}

void mscope_ring_release(mscope_ring *r)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

size_t mscope_ring_fill(const mscope_ring *r)
{
    return atomic_load_explicit(&r->head, memory_order_acquire) - atomic_load_explicit(&r->tail, memory_order_relaxed);
}
