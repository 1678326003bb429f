/* cases.h - the core's work as one number: the same on every processor, for every kernel, or something is wrong
 *
 * Each case is a small table of one state, form, decay and kind of schedule that lives through everything core.h
 * offers. What comes out is folded into 64 bits: rows, totals, bounds, activity, autocorrelation and the bytes of
 * snapshots. The input is made with integers and exact float operations alone, so no libm stands between two
 * processors. Freestanding like the core: no allocation, input or output. */
#ifndef TESTS_ARCH_CASES_H
#define TESTS_ARCH_CASES_H

#include <stddef.h>
#include <stdint.h>

#include "mscope/core.h"

#define ARCH_MEM (384u * 1024)       /* bytes, 64-byte aligned, that the table of any case fits in   */
#define ARCH_TAPE (320u * 1024)      /* bytes the snapshot of any case fits in                       */

typedef struct arch_tape {           /* a snapshot in memory */
    unsigned char *bytes;
    size_t len, at, cap;
} arch_tape;

typedef struct arch_run {
    size_t number;                   /* of the case */
    mscope_table *t;
    uint64_t hash;                   /* FNV-1a over values, never over memory */
    const char *failed;              /* what the core refused, or NULL */
} arch_run;

size_t arch_cases(void);
enum mscope_state arch_case_state(size_t number);
uint32_t arch_case_steps(size_t number);     /* the snapshot that is passed on is taken after half of them */

/* Begin case `number` with a kernel (NULL: the core's choice) in mem[ARCH_MEM]; the hash starts anew. 0, or -1 with
 * failed. */
int arch_open(arch_run *r, size_t number, const char *kernel, void *mem);

/* Steps from+1 .. to of the case, folded into the hash. */
int arch_steps(arch_run *r, uint32_t from, uint32_t to);

/* Snapshot to a tape (len restarts at 0; folded into the hash), and from a tape into a table just opened. */
int arch_save(arch_run *r, arch_tape *tape);
int arch_load(arch_run *r, arch_tape *tape);

/* The whole of a case with a snapshot at half, read back into a second life of the same memory. */
int arch_whole(arch_run *r, size_t number, const char *kernel, void *mem, arch_tape *tape);

uint64_t arch_fold(uint64_t hash, uint64_t value);
#define ARCH_HASH 0xcbf29ce484222325u

#endif
