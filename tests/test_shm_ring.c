/* test_shm_ring.c - the ring of shared memory: its pages come in slice by slice, its pieces in order */
#include "harness.h"

#include <sys/mman.h>

#include "client/shm_ring.h"

enum { PAGE = 4096, MIB = 1 << 20 };

static size_t present(const mscope_shm_ring *r)
{
    unsigned char in[2 * MIB / PAGE];
    size_t n = 0;

    assert_true(r->len <= 2 * MIB);
    assert_int_equal(mincore(r->at, r->len, in), 0);
    for (size_t i = 0; i < r->len / PAGE; i++)
        n += in[i] & 1;
    return n;
}

static void test_pages_come_in_a_few_at_a_time(void **state)
{
    mscope_shm_ring r;
    size_t before = 0, calls = 0;
    int done = 0;

    (void)state;
    mscope_shm_ring_init(&r);
    mscope_shm_ring_make(&r, 2 * MIB);
    assert_non_null(r.at);
    assert_int_equal(present(&r), 0);
    while (!done) {
        done = mscope_shm_ring_warm(&r);
        const size_t now = present(&r);
        assert_in_range(now - before, 0, 16);
        before = now;
        assert_in_range(++calls, 1, MIB / PAGE / 16);
    }
    if (before == 0)
        NOTE("this system does not populate: MADV_POPULATE_WRITE came with Linux 5.14");
    else
        assert_int_equal(before, MIB / PAGE);
    assert_int_equal(mscope_shm_ring_warm(&r), 1);
    assert_int_equal(present(&r), before);
    mscope_shm_ring_fini(&r);
}

static void test_a_small_ring_and_none_are_warm_at_once(void **state)
{
    mscope_shm_ring r;

    (void)state;
    mscope_shm_ring_init(&r);
    assert_int_equal(mscope_shm_ring_warm(&r), 1);
    mscope_shm_ring_make(&r, 2 * PAGE);
    assert_int_equal(mscope_shm_ring_warm(&r), 1);
    assert_in_range(present(&r), 0, 2);
    mscope_shm_ring_fini(&r);
    assert_null(r.at);
}

/* Pieces lie whole, one that would cross the end begins at the start, and one that does not fit takes nothing. */
static void test_pieces_in_order(void **state)
{
    mscope_shm_ring r;
    uint64_t begin[3], end[3];

    (void)state;
    mscope_shm_ring_init(&r);
    mscope_shm_ring_make(&r, PAGE);
    assert_int_equal(mscope_shm_ring_reserve(&r, 1600, &begin[0], &end[0]), 0);
    assert_int_equal(mscope_shm_ring_reserve(&r, 1600, &begin[1], &end[1]), 0);
    assert_int_equal(begin[1], end[0]);
    assert_int_equal(mscope_shm_ring_room(&r, 1600), 0);
    assert_int_equal(mscope_shm_ring_reserve(&r, 1600, &begin[2], &end[2]), 1);
    mscope_shm_ring_release(&r, begin[0], end[0]);
    assert_int_equal(mscope_shm_ring_room(&r, 1600), 1);
    assert_int_equal(mscope_shm_ring_reserve(&r, 1600, &begin[2], &end[2]), 0);
    assert_int_equal((end[2] - mscope_shm_aligned(1600)) % PAGE, 0);
    mscope_shm_ring_release(&r, begin[1], end[1]);
    mscope_shm_ring_release(&r, begin[2], end[2]);
    assert_int_equal(mscope_shm_ring_reserve(&r, 64, &begin[0], &end[0]), 0);
    assert_int_equal(begin[0], 0);                   /* an empty ring begins at its start again */
    assert_int_equal(mscope_shm_ring_reserve(&r, PAGE + 1, &begin[1], &end[1]), 1);
    mscope_shm_ring_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_come_in_a_few_at_a_time),
        cmocka_unit_test(test_a_small_ring_and_none_are_warm_at_once),
        cmocka_unit_test(test_pieces_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
