/* digest.c - the cases of cases.h on this processor, and snapshots passed between processors
 *
 * usage: digest                 a line for each kernel usable here, and one for the reference with the other states
 *        digest write FILE      snapshots of some cases after half their steps, one after the other
 *        digest read FILE       the digest of runs continued from them                                       */
#include "cases.h"

#include <stdio.h>
#include <string.h>

#include "core/kern.h"

#define PASSED_ON 5                  /* every fifth case, of each state alike, is passed on as a snapshot */

static _Alignas(64) unsigned char mem[ARCH_MEM];
static unsigned char bytes[ARCH_TAPE];
static arch_tape tape = { bytes, 0, 0, sizeof bytes };

static int refused(const arch_run *r)
{
    (void)fprintf(stderr, "case %zu: %s refused", r->number, r->failed);
    if (r->t)
        (void)fprintf(stderr, ": %s at %zu is %g", mscope_table_fault(r->t)->field, mscope_table_fault(r->t)->at,
                      mscope_table_fault(r->t)->value);
    (void)fprintf(stderr, "\n");
    return 1;
}

typedef struct total {
    uint64_t hash;
    size_t cases, steps;
} total;

static void add(total *t, const arch_run *r)
{
    t->hash = arch_fold(t->hash, r->hash);
    t->cases++;
    t->steps += arch_case_steps(r->number);
}

static void report(const char *what, const mscope_kern *k, const total *t)
{
    printf("%s %s %016llx %zu cases %zu steps\n", what, k->name, (unsigned long long)t->hash, t->cases, t->steps);
    (void)fflush(stdout);
}

/* States other than float32 run the reference under every name, so only the reference is asked for them; of the float32
 * cases every other one compares kernels. */
static int digest_of(const mscope_kern *k)
{
    int ref = k == &mscope_kern_ref;
    total all = { ARCH_HASH, 0, 0 }, f32 = all;

    for (size_t i = 0; i < arch_cases(); i++) {
        arch_run r;

        int compared = arch_case_state(i) == MSCOPE_STATE_F32 && i % 2 == 0;

        if (!ref && !compared)
            continue;
        if (arch_whole(&r, i, k->name, mem, &tape))
            return refused(&r);
        add(&all, &r);
        if (compared)
            add(&f32, &r);
    }
    if (ref)
        report("states", k, &all);
    report("kernel", k, &f32);
    return 0;
}

static int all_kernels(void)
{
    int bad = 0;

    for (size_t i = 0; mscope_kern_at(i); i++)
        if (mscope_kern_at(i)->usable())
            bad |= digest_of(mscope_kern_at(i));
    return bad;
}

/* -- passing snapshots on: [u32 little-endian length][bytes] each ------------------------------ */

static int write_one(FILE *f, size_t i)
{
    arch_run r;
    unsigned char len[4];

    if (arch_open(&r, i, NULL, mem) || arch_steps(&r, 0, arch_case_steps(i) / 2) || arch_save(&r, &tape))
        return refused(&r);
    for (int k = 0; k < 4; k++)
        len[k] = (unsigned char)(tape.len >> 8 * k);
    return fwrite(len, 1, 4, f) != 4 || fwrite(tape.bytes, 1, tape.len, f) != tape.len;
}

static int read_one(FILE *f, size_t i, uint64_t *hash)
{
    uint32_t steps = arch_case_steps(i);
    arch_run r;
    unsigned char len[4];

    if (fread(len, 1, 4, f) != 4)
        return 1;
    tape.len = (size_t)len[0] | (size_t)len[1] << 8 | (size_t)len[2] << 16 | (size_t)len[3] << 24;
    if (tape.len > tape.cap || fread(tape.bytes, 1, tape.len, f) != tape.len)
        return 1;
    if (arch_open(&r, i, NULL, mem) || arch_load(&r, &tape) || arch_steps(&r, steps / 2, steps) ||
        arch_save(&r, &tape))
        return refused(&r);
    *hash = arch_fold(*hash, r.hash);
    return 0;
}

static int pass_on(const char *path, int reading)
{
    FILE *f = fopen(path, reading ? "rb" : "wb");
    uint64_t hash = ARCH_HASH;
    int bad = f == NULL;

    for (size_t i = 0; i < arch_cases() && !bad; i += PASSED_ON)
        bad = reading ? read_one(f, i, &hash) : write_one(f, i);
    if (f == NULL || fclose(f) != 0 || bad) {
        (void)fprintf(stderr, "%s: cannot %s it\n", path, reading ? "read" : "write");
        return 1;
    }
    if (reading)
        printf("continued %016llx\n", (unsigned long long)hash);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return all_kernels();
    if (argc == 3 && (strcmp(argv[1], "write") == 0 || strcmp(argv[1], "read") == 0))
        return pass_on(argv[2], argv[1][0] == 'r');
    (void)fprintf(stderr, "usage: %s [write FILE | read FILE]\n", argv[0]);
    return 2;
}
