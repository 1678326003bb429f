/* state.c - a state file and the head of a mapped table of any bytes: taken, or refused and nothing is held
 *
 * The checksum is made right, so that what is behind it is reached. What was taken can be written again, and a daemon
 * that reads that writes the same bytes.                                                                          */
#include "daemon/mapped.h"
#include "engine.h"

static int restore(fuzz_engine *f, uint8_t *bytes, size_t len)
{
    char path[64];

    if (len >= 24)
        mscope_put_le(bytes + len - 4, mscope_crc32(0, bytes, len - 4), 4);
    fuzz_engine_open(f);
    const int fd = fuzz_file(bytes, len, path), rc = mscope_restore_state(&f->engine, path, 0);
    (void)close(fd);
    return rc;
}

static void state(uint8_t *bytes, size_t len)
{
    static fuzz_engine f, g;
    uint8_t *once = NULL, *twice = NULL;
    size_t n = 0, m = 0;

    if (restore(&f, bytes, len) == 0 && mscope_store_image(&f.engine, &once, &n) == 0) {
        FUZZ_HOLDS(restore(&g, once, n) == 0);
        FUZZ_HOLDS(mscope_store_image(&g.engine, &twice, &m) == 0 && m == n && memcmp(once, twice, n) == 0);
        (void)munmap(twice, m);
        (void)munmap(once, n);
        fuzz_engine_close(&g);
    }
    fuzz_engine_close(&f);
}

static void head(const uint8_t *bytes, size_t len)
{
    static uint8_t file[MSCOPE_MAPPED_HEAD + 4096], read[MSCOPE_MAPPED_HEAD];
    mscope_map_file m = { 0 };
    mscope_reader src;
    const char *why = "";
    char path[64];

    memset(file, 0, sizeof file);
    memcpy(file, bytes, len < sizeof file ? len : sizeof file);
    mscope_put_le(file + MSCOPE_MAPPED_HEAD - 4, mscope_crc32(0, file, MSCOPE_MAPPED_HEAD - 4), 4);
    m.fd = fuzz_file(file, sizeof file, path);
    (void)mscope_mapped_read_head(&m, &src, read, &why);
    (void)close(m.fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t *copy;

    if (len == 0)
        return 0;
    copy = malloc(len);
    FUZZ_HOLDS(copy != NULL);
    memcpy(copy, bytes + 1, len - 1);
    if (bytes[0] % 8 == 0)
        head(copy, len - 1);
    else
        state(copy, len - 1);
    free(copy);
    return 0;
}
