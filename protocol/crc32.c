/* crc32.c - the checksum of bytes.h */
#include "bytes.h"

/* Eight bytes a step: table[k][b] is what byte b does to the checksum k bytes later. */
static void crc_table(uint32_t table[8][256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        table[0][i] = c;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t i = 0; i < 256; i++)
            table[k][i] = table[0][table[k - 1][i] & 255] ^ table[k - 1][i] >> 8;
}

uint32_t mscope_crc32(uint32_t crc, const void *bytes, size_t len)
{
    static _Thread_local uint32_t table[8][256];
    const uint8_t *p = bytes;

    if (table[0][1] == 0)
        crc_table(table);
    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        const uint32_t a = crc ^ mscope_get32(p), b = mscope_get32(p + 4);
        crc = table[7][a & 255] ^ table[6][a >> 8 & 255] ^ table[5][a >> 16 & 255] ^ table[4][a >> 24] ^
              table[3][b & 255] ^ table[2][b >> 8 & 255] ^ table[1][b >> 16 & 255] ^ table[0][b >> 24];
    }
    for (; len > 0; len--)
        crc = table[0][(crc ^ *p++) & 255] ^ crc >> 8;
    return ~crc;
}
