/* mapped.c - the head of a mapped table's file, of any bytes behind a magic and a checksum that are right */
#include "daemon/image.h"
#include "daemon/mapped.h"
#include "engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static uint8_t head[MSCOPE_MAPPED_HEAD];
    static size_t before;
    fuzz_input in = { bytes, len };
    mscope_map_file f = { 0 };
    mscope_reader src;
    mscope_hello hello;
    uint32_t history;
    const char *why = "";
    const uint64_t size = fuzz_take(&in, 4);

    if (in.left > sizeof head)
        return 0;
    memset(head, 0, before);                 /* what the last input left */
    memcpy(head, in.at, in.left);
    before = in.left;
    if (size % 8 != 0)                       /* a layout cannot be guessed */
        mscope_put_le(head + 24, mscope_table_layout(), 8), before = before > 32 ? before : 32;
    const int rc = mscope_mapped_take_head(head, size, &f, &src, &why);
    FUZZ_HOLDS(rc == 0 || rc == 1 || why[0] != '\0');
    if (rc != 0)
        return 0;
    FUZZ_HOLDS(f.len == size);
    for (int i = 0; i < 3; i++)              /* session, its next number, whether it left */
        (void)mscope_read_u(&src, i < 2 ? 8 : 4);
    const int err = mscope_image_get_hello(&src, &hello, &history);
    FUZZ_HOLDS(err != 0 || memchr(hello.table, 0, sizeof hello.table) != NULL);
    return 0;
}
