/* records.c - telemetry as a subscriber takes it: a record that is read says the same when it is written again */
#include "fuzz.h"
#include "mscope/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char *const topics[] = { "band/words/3", "table/words", "acf/words/3", "stability/words", "daemon",
                                          "alert", "nonsense" };
    static uint8_t once[MSCOPE_RECORD_MAX], twice[MSCOPE_RECORD_MAX];
    static mscope_record r, again;
    char topic[MSCOPE_TOPIC_MAX];
    mscope_refusal why;
    const char *name;

    if (len == 0)
        return 0;
    name = topics[bytes[0] % (sizeof topics / sizeof *topics)];
    if (mscope_record_decode(name, bytes + 1, len - 1, &r, &why) != 0)
        return 0;
    const int n = mscope_record_encode(&r, once, sizeof once);
    if (n < 0)
        return 0;
    FUZZ_HOLDS(mscope_record_topic(&r, topic) >= 0);
    FUZZ_HOLDS(mscope_record_decode(topic, once, (size_t)n, &again, &why) == 0);
    FUZZ_HOLDS(mscope_record_encode(&again, twice, sizeof twice) == n && memcmp(once, twice, (size_t)n) == 0);
    return 0;
}
