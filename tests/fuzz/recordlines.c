/* recordlines.c - a line of watch --json: a record that is taken says the same when it is written and read again */
#include "fuzz.h"
#include "monitor/record_json.h"
#include "monitor/record_parse.h"

static void again(const mscope_telemetry *m)
{
    static char line[1 << 16];
    static mscope_telemetry other;
    char why[256];
    FILE *const to = fmemopen(line, sizeof line, "w");
    const mscope_verdict verdict = { .regime = MSCOPE_REGIME_UNKNOWN };
    const mscope_margin margin = { .H = 0 };

    FUZZ_HOLDS(to != NULL);
    mscope_json_record(to, m, &verdict, &margin);
    const long n = ftell(to);
    FUZZ_HOLDS(n > 0 && fclose(to) == 0);
    FUZZ_HOLDS(mscope_record_parse(line, (size_t)n, &other, why, sizeof why) == 0);
    FUZZ_HOLDS(other.seq == m->seq && strcmp(other.topic, m->topic) == 0);
    FUZZ_HOLDS(memcmp(&other.record, &m->record, sizeof m->record) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static mscope_telemetry m;
    char why[256] = "";

    if (len == 0)
        return 0;
    const int rc = mscope_record_parse((const char *)bytes + 1, len - 1, &m, why, sizeof why);
    FUZZ_HOLDS(rc == 0 || rc == MSCOPE_EAGAIN || (rc == MSCOPE_EPROTO && why[0] != '\0'));
    if (rc == 0 && bytes[0] % 16 == 0)       /* writing takes ten times as long as reading */
        again(&m);
    return 0;
}
