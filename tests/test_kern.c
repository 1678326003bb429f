/* test_kern.c - every kernel gives the bits of the scalar reference: all widths, misalignments, parts */
#include "core/kern.h"
#include "harness.h"

#define MAX 1100
#define CANARY 0x5eadbeef

typedef struct buffers {
    float theta[MAX], m[MAX], ref[MAX], g[MAX];
} buffers;

static const mscope_idle idle = { 1.0, -0x1.3p-9, -0.37, 0.011, 0.0, 0.313 };
static const mscope_kick kick = { 1.0, -0.013, 0.002, 0.013, -0.0007, -0.21, 0.05 };

static void fill(buffers *b)
{
    float *x = (float *)b;

    for (size_t i = 0; i < sizeof *b / sizeof *x; i++) {
        static const float odd[] = { 0.0f, -0.0f, 1e-38f, -1e-42f, 3e37f };

        x[i] = rng_u64() % 37 == 0 ? odd[rng_u64() % LEN(odd)] : (float)(rng_normal() * exp(3 * rng_normal()));
    }
}

static void run_one(const mscope_kern *k, buffers *b, size_t d, size_t off, int with_idle, int with_kick, int with_ref,
                    mscope_sums *sum)
{
    const uint32_t row = 0;
    const void *g = b->g + off;
    mscope_job job = { b->theta + off, b->m + off, with_ref ? b->ref + off : NULL, d, 1, 1, &row, with_kick ? &g : NULL,
                       &idle, with_idle != 0, with_kick ? &kick : NULL, sum };

    k->rows[MSCOPE_STATE_F32][MSCOPE_STATISTICS_DOUBLE](&job);
}

static int same_bits(const mscope_kern *k, size_t d, size_t off, int with_idle, int with_kick, int with_ref)
{
    static buffers a, b;
    const uint32_t canary = CANARY;
    mscope_sums sa, sb;
    buffers *both[2] = { &a, &b };
    const mscope_kern *kern[2] = { &mscope_kern_ref, k };
    mscope_sums *sum[2] = { &sa, &sb };
    double qa, qb;

    fill(&a);
    memcpy(&a.theta[off + d], &canary, 4);
    memcpy(&a.m[off + d], &canary, 4);
    b = a;
    for (int i = 0; i < 2; i++)
        run_one(kern[i], both[i], d, off, with_idle, with_kick, with_ref, sum[i]);
    mscope_kern_ref.sumsq[0](a.g + off, d, 1, &qa);
    k->sumsq[0](b.g + off, d, 1, &qb);
    return memcmp(&a, &b, sizeof a) == 0 && memcmp(&sa, &sb, sizeof sa) == 0 && memcmp(&qa, &qb, sizeof qa) == 0 &&
           memcmp(&a.theta[off + d], &canary, 4) == 0 && memcmp(&a.m[off + d], &canary, 4) == 0;
}

static void test_twins_equal_reference(void **state)
{
    static const size_t lens[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 63, 64, 65, 127, 1000, 1023 };
    unsigned checks = 0, kernels = 0;

    (void)state;
    rng_seed(21);
    for (size_t i = 0; mscope_kern_at(i); i++) {
        const mscope_kern *k = mscope_kern_at(i);

        if (!k->usable()) {
            NOTE("%s: not usable on this processor", k->name);
            continue;
        }
        kernels++;
        for (size_t c = 0; c < LEN(lens); c++)
            for (size_t off = 0; off < 4; off++)
                for (int mask = 0; mask < 8; mask++, checks++)
                    CHECK(same_bits(k, lens[c], off, mask & 1, mask & 2, mask & 4), "%s d=%zu off=%zu mask=%d", k->name,
                          lens[c], off, mask);
    }
    NOTE("%u kernels, %u comparisons, all bits equal", kernels, checks);
    CHECK(kernels >= 2, "only %u kernels usable", kernels);
}

static void test_pick_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(mscope_kern_pick("ref"), &mscope_kern_ref);
    assert_null(mscope_kern_pick("v1024"));
    assert_non_null(mscope_kern_pick(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twins_equal_reference),
        cmocka_unit_test(test_pick_by_name),
    };

    return cmocka_run_group_tests_name("kern", tests, NULL, NULL);
}
