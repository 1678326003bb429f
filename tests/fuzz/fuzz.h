/* fuzz.h - what the fuzzers share: numbers and texts from the input, and properties that must hold
 *
 * Each tests/fuzz/NAME.c is one libFuzzer program, build/fuzz/fuzz_NAME. A property that does not hold aborts, so that
 * libFuzzer keeps the input. Inputs are read from memory: no file, process or socket of the system is touched for one,
 * and what is expensive to make is made once. Standard output and errors go nowhere (run: -close_fd_mask=3).      */
#ifndef MSCOPE_FUZZ_H
#define MSCOPE_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int fuzz_errors = STDERR_FILENO;      /* standard errors as they were before libFuzzer closed them */

static __attribute__((constructor)) void fuzz_keep_errors(void)
{
    fuzz_errors = dup(STDERR_FILENO);
}

#define FUZZ_HOLDS(claim)                                                                                     \
    do {                                                                                                      \
        if (!(claim)) {                                                                                       \
            dprintf(fuzz_errors, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);                   \
            abort();                                                                                          \
        }                                                                                                     \
    } while (0)

typedef struct fuzz_input {
    const uint8_t *at;
    size_t left;
} fuzz_input;

/* The next bytes as a little-endian number; 0 past the end. */
static inline uint64_t fuzz_take(fuzz_input *in, int bytes)
{
    uint64_t x = 0;

    for (int i = 0; i < bytes && in->left > 0; i++, in->at++, in->left--)
        x |= (uint64_t)*in->at << 8 * i;
    return x;
}

/* A number in [-1, 1]. */
static inline double fuzz_unit(fuzz_input *in)
{
    return (double)(int16_t)fuzz_take(in, 2) / 32768;
}

/* The next bytes up to a 0, at most cap - 1 of them, as a text of their own. */
static inline const char *fuzz_text(fuzz_input *in, char *to, size_t cap)
{
    size_t n = 0;

    while (in->left > 0 && n + 1 < cap && *in->at != 0) {
        to[n++] = (char)*in->at++;
        in->left--;
    }
    if (in->left > 0 && *in->at == 0)
        in->at++, in->left--;
    to[n] = '\0';
    return to;
}

#endif
