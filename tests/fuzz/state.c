/* state.c - a state file of any bytes: taken, or refused and nothing is held
 *
 * The checksum is made right, so that what is behind it is reached. What was taken can be written again, and a daemon
 * that reads that writes the same bytes. The head of a mapped table: mapped.c.                                    */
#include "engine.h"

#include <sys/mman.h>

static int restore(fuzz_engine *f, uint8_t *bytes, size_t len)
{
    if (len >= 24)
        mscope_put_le(bytes + len - 4, mscope_crc32(0, bytes, len - 4), 4);
    fuzz_engine_open(f);
    return mscope_restore_bytes(&f->engine, bytes, len, "FILE", 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static fuzz_engine f, g;
    static uint8_t copy[1 << 16];
    uint8_t *once = NULL, *twice = NULL;
    size_t n = 0, m = 0;

    if (len > sizeof copy)
        return 0;
    memcpy(copy, bytes, len);
    if (restore(&f, copy, len) == 0 && mscope_store_image(&f.engine, &once, &n) == 0) {
        FUZZ_HOLDS(restore(&g, once, n) == 0);
        FUZZ_HOLDS(mscope_store_image(&g.engine, &twice, &m) == 0 && m == n && memcmp(once, twice, n) == 0);
        (void)munmap(twice, m);
        (void)munmap(once, n);
        fuzz_engine_close(&g);
    }
    fuzz_engine_close(&f);
    return 0;
}
