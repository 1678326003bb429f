/* keys.c - the list of keys that may connect: every peer that is taken has a key and a name as they are written */
#include "fuzz.h"
#include "protocol/meet/keys.h"

enum { PEERS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static mscope_allowed peer[PEERS];
    unsigned line = 0;
    FILE *const f = fmemopen((void *)(uintptr_t)bytes, len, "r");

    if (f == NULL)                           /* no bytes */
        return 0;
    const int n = mscope_keys_lines(f, peer, PEERS, &line);
    FUZZ_HOLDS(n == MSCOPE_EINVAL || (n >= 0 && n <= MSCOPE_KEYS_MOST));
    FUZZ_HOLDS(line >= 1 && line <= len + 1);
    for (int i = 0; i < n && i < PEERS; i++) {
        FUZZ_HOLDS(strspn(peer[i].key, "0123456789abcdef") == MSCOPE_KEY_LEN && peer[i].key[MSCOPE_KEY_LEN] == '\0');
        FUZZ_HOLDS(peer[i].name[0] != '\0' && strlen(peer[i].name) <= MSCOPE_KEY_NAME);
    }
    (void)fclose(f);
    return 0;
}
