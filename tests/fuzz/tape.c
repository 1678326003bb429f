/* tape.c - a recording from anywhere: read to its end, listed, opened by the bench, or refused with a reason
 *
 * Checksums would stop nearly every input at the header, so they are made right first, as far as entries go on.      */
#include "fuzz.h"

#include <sys/mman.h>

#include "bench/workloads/recording.h"
#include "protocol/bytes.h"
#include "tape/contents.h"
#include "tape/tape.h"

/* CRC-16/XMODEM of a message's header, where the first part is one. */
static void mend_header(uint8_t *body, size_t len, unsigned parts)
{
    uint8_t *h = body + 4 * (size_t)parts;
    unsigned crc = 0;

    if (parts == 0 || len < 4 * (size_t)parts + MSCOPE_HEADER_LEN)
        return;
    for (size_t i = 0; i < MSCOPE_HEADER_LEN - 2; i++) {
        crc ^= (unsigned)h[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    mscope_put_le(h + MSCOPE_HEADER_LEN - 2, crc & 0xffff, 2);
}

static void mend(uint8_t *p, size_t len)
{
    size_t at = MSCOPE_TAPE_HEADER;

    if (len < MSCOPE_TAPE_HEADER)
        return;
    mscope_put_le(p + 60, mscope_crc32(0, p, 60), 4);
    while (at + MSCOPE_TAPE_ENTRY <= len) {
        const uint64_t body = mscope_get_le(p + at, 4);
        if (body > len - at - MSCOPE_TAPE_ENTRY)
            break;
        mend_header(p + at + MSCOPE_TAPE_ENTRY, (size_t)body, p[at + 5]);
        mscope_put_le(p + at + 24, mscope_crc32(0, p + at + MSCOPE_TAPE_ENTRY, (size_t)body), 4);
        mscope_put_le(p + at + 28, mscope_crc32(0, p + at, 28), 4);
        at += MSCOPE_TAPE_ENTRY + (size_t)body;
    }
}

/* What the bench trusts of a recording that checksums call whole. It opens a file, of memory; few inputs get here. */
static void open_in_bench(const mscope_contents *c, const uint8_t *bytes, size_t len)
{
    mscope_recording *recording;
    char why[512] = "", path[64];

    for (size_t i = 0; i < c->tables; i++)
        if (c->table[i].hello.rows > 1 << 20)        /* 4 bytes each */
            return;
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_HOLDS(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (mscope_recording_open(&recording, path, NULL, why) == 0)
        mscope_recording_close(recording);
    else
        FUZZ_HOLDS(why[0] != '\0');
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    mscope_contents contents = { 0 };
    mscope_entry entry;
    mscope_refusal why;
    mscope_tape tape;

    FUZZ_HOLDS(copy != NULL);
    memcpy(copy, bytes, len);
    if (len > 0 && bytes[0] % 4 != 0)
        mend(copy, len);
    if (mscope_tape_over(&tape, copy, len, &why) == 0) {
        int rc;
        while ((rc = mscope_tape_next(&tape, &entry, &why)) == 1)
            FUZZ_HOLDS(entry.parts <= MSCOPE_TAPE_PARTS && tape.at <= tape.size);
        if (rc < 0)
            FUZZ_HOLDS(mscope_tape_next(&tape, &entry, &why) == rc && why.text[0] != '\0');
        mscope_tape_rewind(&tape);
        if (mscope_contents_read(&contents, &tape, &why) == 0)
            open_in_bench(&contents, copy, len);
        mscope_contents_free(&contents);
    }
    free(copy);
    return 0;
}
