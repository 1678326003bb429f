/* kern_job.h - go over the rows of a job, and bring the next rows into the cache; private to the kernels */
#ifndef MSCOPE_CORE_KERN_JOB_H
#define MSCOPE_CORE_KERN_JOB_H

#include "kern.h"

#define MSCOPE_INLINE static inline __attribute__((always_inline))
#define MSCOPE_LINE 64u

/* Whether maps are plain (kern.h): those of momentum without decay and without Nesterov. */
MSCOPE_INLINE int mscope_plain_kick(const mscope_kick *k)
{
    return (k->mt == 0.0) & (k->x11 == 0.0) & (k->tg == 0.0);
}

MSCOPE_INLINE int mscope_plain_idle(const mscope_idle *a)
{
    return (a->b11 == 1.0) & (a->x11 == 0.0) & (a->a21 == 0.0);
}

MSCOPE_INLINE int mscope_plain(const mscope_idle *idle, const mscope_kick *kick)
{
    return (!kick || mscope_plain_kick(kick)) && (!idle || mscope_plain_idle(idle));
}

/* The addresses of one segment of a row. */
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

/* Rows of up to four cache lines: mscope_reach loads all of them, so they need no prefetch. */
MSCOPE_INLINE int mscope_short(size_t dim, size_t m_size)
{
    return dim * m_size <= 4 * MSCOPE_LINE;
}

#ifdef MSCOPE_TUNE
extern size_t mscope_tune;
#define mscope_ahead(dim) ((void)(dim), mscope_tune)
#else
/* How many rows of dim coordinates are fetched ahead: 8 KB of theta and as much of m, 48 rows at most. */
MSCOPE_INLINE size_t mscope_ahead(size_t dim)
{
    return dim * 48 <= 2048 ? 48 : dim <= MSCOPE_SEGMENT ? 2048 / dim : 1;
}
#endif

MSCOPE_INLINE void mscope_load_at(mscope_place p, size_t theta_at, size_t m_at, int with_ref)
{
    (void)*(const volatile unsigned char *)(p.theta + theta_at);
    (void)*(const volatile unsigned char *)(p.m + m_at);
    if (with_ref)
        (void)*(const volatile unsigned char *)(p.ref + theta_at);
}

/* Whether segments may begin inside a line: then steps of a line from their start miss their last line. */
MSCOPE_INLINE int mscope_loose(const mscope_job *j, size_t dim, size_t theta_size, size_t m_size, int with_ref)
{
    uintptr_t at = (uintptr_t)j->theta | (uintptr_t)j->m | (with_ref ? (uintptr_t)j->ref : 0);

    return (at | dim * theta_size | dim * m_size) % MSCOPE_LINE != 0;
}

/* Whether a row may end in a line that loads at steps of a line from its start do not reach. */
MSCOPE_INLINE int mscope_straddles(const mscope_job *j, size_t dim, size_t theta_size, size_t m_size, int with_ref)
{
    uintptr_t at = (uintptr_t)j->theta | (uintptr_t)j->m | (with_ref ? (uintptr_t)j->ref : 0);
    size_t m = dim * m_size;

    return m < MSCOPE_LINE ? MSCOPE_LINE % m != 0 || at % m != 0 : mscope_loose(j, dim, theta_size, m_size, with_ref);
}

/* Load from the rows that come after this job's: from every line of short rows; from the first line of longer rows and
 * from their last, which may be on another page.
 *
 * In a table larger than the processor's cache of address translations, almost every row costs a walk through page
 * tables, several in a virtual machine. A prefetch waits for its walk like a load but may keep nothing of it, and with
 * work between the rows only a few walks are under way at a time. In a loop of loads alone there are as many as the
 * processor can hold. */
MSCOPE_INLINE void mscope_reach(const mscope_job *j, size_t dim, size_t theta_size, size_t m_size, int with_ref)
{
    const size_t end = j->known - j->n < MSCOPE_JOB_ROWS ? j->known : j->n + MSCOPE_JOB_ROWS;
    const size_t theta = dim * theta_size, m = dim * m_size, lines = mscope_short(dim, m_size) ? m : 1;
    const int last = !mscope_short(dim, m_size) || mscope_straddles(j, dim, theta_size, m_size, with_ref);

#ifdef MSCOPE_ONLY_REF               /* a small processor has no such translation */
    return;
#endif
    for (size_t i = j->n; i < end; i++) {
        mscope_place p = mscope_place_of(j, j->row[i], dim, 0, theta_size, m_size, with_ref);

        mscope_load_at(p, 0, 0, with_ref);
        for (size_t at = MSCOPE_LINE; at < lines; at += MSCOPE_LINE)
            mscope_load_at(p, at < theta ? at : 0, at, with_ref);
        if (last)
            mscope_load_at(p, theta - 1, m - 1, with_ref);
    }
}

/* The segment to fetch while segment `at` of the job's row i is worked on: the same segment some rows later or, when
 * rows have several segments, the next one. Past the last known row: the segment itself, which costs nothing. */
MSCOPE_INLINE mscope_place mscope_place_next(const mscope_job *j, size_t i, size_t ahead, size_t dim, size_t at,
                                             int single, size_t theta_size, size_t m_size, int with_ref)
{
    if (!single && dim > MSCOPE_SEGMENT) {
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

MSCOPE_INLINE void mscope_fetch_last(mscope_place p, size_t d, size_t theta_size, size_t m_size, int with_ref)
{
    mscope_fetch(p, d * theta_size - 1, d * m_size - 1, with_ref);
}

/* For n = 0: fetch the first rows of a sequence; short rows were loaded by mscope_reach. */
static inline void mscope_fetch_first(const mscope_job *j, size_t theta_size, size_t m_size, int with_ref)
{
    size_t d = j->dim < MSCOPE_SEGMENT ? j->dim : MSCOPE_SEGMENT, rows = mscope_ahead(j->dim);

    for (size_t i = 0; i < rows && i < j->known && !mscope_short(j->dim, m_size); i++) {
        mscope_place p = mscope_place_of(j, j->row[i], j->dim, 0, theta_size, m_size, with_ref);

        for (size_t at = 0; at < d * m_size; at += MSCOPE_LINE)
            mscope_fetch(p, at < d * theta_size ? at : 0, at, with_ref);
        mscope_fetch_last(p, d, theta_size, m_size, with_ref);
    }
}

#endif
