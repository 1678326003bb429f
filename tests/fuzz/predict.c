/* predict.c - predict --jsonl: every line gets a line of JSON, and as many errors as are counted */
#include "cli/predict.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char answer[1 << 20];
    FILE *const in = fmemopen((void *)(uintptr_t)bytes, len, "r"), *const out = fmemopen(answer, sizeof answer, "w");

    if (in != NULL) {
        const int refused = mscope_predict_lines(in, out);
        const long n = ftell(out);
        FUZZ_HOLDS(refused >= 0 && (size_t)refused <= len && n >= 0);
        for (int i = 0; i < (refused > 0); i++)
            FUZZ_HOLDS(n > 0);
        (void)fclose(in);
    }
    (void)fclose(out);
    return 0;
}
