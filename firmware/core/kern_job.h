/* kern_job.h - walking the rows of a job, and fetching the ones to come; private to the kernels */
#ifndef MSCOPE_CORE_KERN_JOB_H
#define MSCOPE_CORE_KERN_JOB_H

#include "core/kern.h"

#define MSCOPE_INLINE static inline __attribute__((always_inline))
#define MSCOPE_LINE 64u

/* Where one segment of a row lies. */
typedef struct mscope_place {
    unsigned char *theta, *m;
    const unsigned char *ref;        /* NULL without reference */
} mscope_place;

MSCOPE_INLINE mscope_place mscope_place_of(const mscope_job *j, uint32_t row, size_t dim, size_t at, size_t theta_size,
                                           size_t m_size, int with_ref)
{
    size_t i = (size_t)row * dim + at;

    return (mscope_place){ (unsigned char *)j->theta + i * theta_size, (unsigned char *)j->m + i * m_size,
                           with_ref ? (const unsigned char *)j->ref + i * theta_size : NULL };
}

/* Rows of this many coordinates that are fetched ahead. */
MSCOPE_INLINE size_t mscope_ahead(size_t dim)
{
    return dim <= 4 ? 32 : dim <= 16 ? 16 : dim <= 64 ? 8 : dim <= 256 ? 4 : 2;
}

/* The place to fetch while segment `at` of the job's row i is worked on: the same segment some rows later or, when rows
 * have several segments, the next one. Past what is known: the place itself, which costs nothing.            */
MSCOPE_INLINE mscope_place mscope_place_next(const mscope_job *j, size_t i, size_t ahead, size_t dim, size_t at,
                                             size_t theta_size, size_t m_size, int with_ref)
{
    if (dim > MSCOPE_SEGMENT) {
        at += MSCOPE_SEGMENT;
        ahead = 0;
        if (at >= dim) {
            at = 0;
            ahead = 1;
        }
    }
    if (i + ahead < j->known)
        i += ahead;
    return mscope_place_of(j, j->row[i], dim, at, theta_size, m_size, with_ref);
}

MSCOPE_INLINE void mscope_fetch(mscope_place p, size_t theta_at, size_t m_at, int with_ref)
{
    __builtin_prefetch(p.theta + theta_at, 1);
    __builtin_prefetch(p.m + m_at, 1);
    if (with_ref)
        __builtin_prefetch(p.ref + theta_at);
}

/* The last line of a segment that does not begin on a line; whole lines are fetched block by block. */
MSCOPE_INLINE void mscope_fetch_last(mscope_place p, size_t d, size_t theta_size, size_t m_size, int with_ref)
{
    if (((uintptr_t)p.theta | (uintptr_t)p.m) % MSCOPE_LINE + d * theta_size % MSCOPE_LINE)
        mscope_fetch(p, d * theta_size - 1, d * m_size - 1, with_ref);
}

/* n = 0: the first rows of a sequence. */
static inline void mscope_fetch_first(const mscope_job *j, size_t theta_size, size_t m_size, int with_ref)
{
    size_t d = j->dim < MSCOPE_SEGMENT ? j->dim : MSCOPE_SEGMENT, rows = mscope_ahead(j->dim);

    for (size_t i = 0; i < rows && i < j->known; i++) {
        mscope_place p = mscope_place_of(j, j->row[i], j->dim, 0, theta_size, m_size, with_ref);

        for (size_t at = 0; at < d * m_size; at += MSCOPE_LINE)
            mscope_fetch(p, at < d * theta_size ? at : 0, at, with_ref);
        mscope_fetch_last(p, d, theta_size, m_size, with_ref);
    }
}

#endif
