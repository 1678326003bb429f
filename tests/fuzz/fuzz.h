/* fuzz.h - what the fuzzers share: numbers from the input, and the input as a file
 *
 * Each tests/fuzz/NAME.c is one libFuzzer program, build/fuzz/fuzz_NAME. A property that does not hold aborts, so that
 * libFuzzer keeps the input.                                                                                     */
#ifndef MSCOPE_FUZZ_H
#define MSCOPE_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define FUZZ_HOLDS(claim)                                                                                     \
    do {                                                                                                      \
        if (!(claim)) {                                                                                       \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);                        \
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

/* Standard output and errors go nowhere from fuzz_quiet to fuzz_loud, which gets what fuzz_quiet returned. */
static inline int fuzz_quiet(void)
{
    static int nowhere = -1;
    const int errors = dup(STDERR_FILENO);

    if (nowhere < 0)
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    fflush(stdout);
    FUZZ_HOLDS(errors >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0 && dup2(nowhere, STDERR_FILENO) >= 0);
    return errors;
}

static inline void fuzz_loud(int errors)
{
    fflush(stdout);
    (void)dup2(errors, STDERR_FILENO);
    (void)close(errors);
}

/* The bytes as a file of memory, one for each process and anew at each call; close it after use. name gets its path. */
static inline int fuzz_file(const uint8_t *bytes, size_t len, char name[64])
{
    snprintf(name, 64, "/dev/shm/momentscope-fuzz-%ld", (long)getpid());
    const int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    FUZZ_HOLDS(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    return fd;
}

#endif
