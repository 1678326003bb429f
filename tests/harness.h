/* harness.h - what the compiled tests share: a seeded generator, aligned memory, notes that reach the report */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mscope/core.h"

#define LEN(a) (sizeof(a) / sizeof *(a))

/* xorshift64*: the same numbers everywhere; the seed of a test can be given as MOMENTSCOPE_TEST_SEED. */
static uint64_t rng_state = 88172645463325252u;

static inline uint64_t rng_u64(void)
{
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return rng_state * 2685821657736338717u;
}

static inline double rng_uniform(void)
{
    return (double)(rng_u64() >> 11) * 0x1p-53;
}

static inline double rng_normal(void)
{
    double u = 1.0 - rng_uniform(), v = rng_uniform();

    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

static inline void rng_seed(uint64_t seed)
{
    const char *given = getenv("MOMENTSCOPE_TEST_SEED");

    rng_state = given ? strtoull(given, NULL, 0) : seed;
    if (rng_state == 0)
        rng_state = 1;
}

/* Lines that begin '# note' are shown by tests/run. */
#define NOTE(...) (printf("# note "), printf(__VA_ARGS__), printf("\n"), fflush(stdout))

#define CHECK(cond, ...)                                                                                         \
    do {                                                                                                         \
        if (!(cond)) {                                                                                           \
            print_error("%s:%d: %s: ", __FILE__, __LINE__, #cond);                                               \
            print_error(__VA_ARGS__);                                                                            \
            print_error("\n");                                                                                   \
            fail();                                                                                              \
        }                                                                                                        \
    } while (0)

static inline void *aligned_block(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

    assert_non_null(p);
    return p;
}

/* A table in memory of its own; free(*mem) when done. */
static inline mscope_table *new_table(const mscope_table_config *cfg, void **mem)
{
    mscope_table *t = NULL;
    size_t need = mscope_table_mem(cfg);

    assert_true(need > 0);
    *mem = aligned_block(need);
    assert_int_equal(mscope_table_init(&t, cfg, *mem, need), MSCOPE_OK);
    return t;
}

#endif
