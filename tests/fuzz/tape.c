/* tape.c - a recording from anywhere: read to its end, listed, or refused with a reason
 *
 * Checksums would stop nearly every input at the header, so they are made right first, as far as entries go on.      */
#include "fuzz.h"
#include "protocol/bytes.h"
#include "tape/contents.h"
#include "tape/tape.h"

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
        mscope_put_le(p + at + 24, mscope_crc32(0, p + at + MSCOPE_TAPE_ENTRY, (size_t)body), 4);
        mscope_put_le(p + at + 28, mscope_crc32(0, p + at, 28), 4);
        at += MSCOPE_TAPE_ENTRY + (size_t)body;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    char path[64];
    mscope_contents contents = { 0 };
    mscope_entry entry;
    mscope_refusal why;
    mscope_tape tape;

    FUZZ_HOLDS(copy != NULL);
    memcpy(copy, bytes, len);
    if (len > 0 && bytes[0] % 4 != 0)
        mend(copy, len);
    const int fd = fuzz_file(copy, len, path);
    if (mscope_tape_open(&tape, path, &why) == 0) {
        int rc;
        while ((rc = mscope_tape_next(&tape, &entry, &why)) == 1)
            FUZZ_HOLDS(entry.parts <= MSCOPE_TAPE_PARTS && tape.at <= tape.size);
        if (rc < 0)
            FUZZ_HOLDS(mscope_tape_next(&tape, &entry, &why) == rc && why.text[0] != '\0');
        mscope_tape_rewind(&tape);
        (void)mscope_contents_read(&contents, &tape, &why);
        mscope_contents_free(&contents);
        mscope_tape_close(&tape);
    }
    (void)close(fd);
    free(copy);
    return 0;
}
