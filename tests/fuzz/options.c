/* options.c - a command line and an environment variable of any bytes */
#include "fuzz.h"
#include "common/options.h"

enum { ARGS = 12 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    int flag = 0, args = 0, argc = 1;
    uint64_t count = 5, size = 5;
    double real = 0.5;
    const char *text = NULL;
    mscope_texts texts = { .n = 0 };
    const mscope_option table[] = {
        { "flag", NULL, "a flag", .flag = &flag },
        { "count", "N", "a number", .count = &count, .low = 1, .high = 100, .env = "MSCOPE_FUZZ_COUNT" },
        { "size", "BYTES", "bytes", .bytes = &size, .low = 1, .high = 1e12 },
        { "real", "X", "a real", .real = &real, .low = 0, .high = 1 },
        { "text", "T", "text", .text = &text },
        { "texts", "T", "texts", .texts = &texts },
        { .name = NULL }
    };
    const mscope_command command = { .name = "fuzz", .usage = "[OPTION...]", .about = "About.", .option = table,
                                     .example = "fuzz", .exits = "0 ok", .most = 3 };
    static char copy[4097], variable[4200];
    char *argv[ARGS + 1] = { (char[]){ "fuzz" } };

    if (len >= sizeof copy)
        return 0;
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    for (size_t at = 0; at < len && argc < ARGS; at += strlen(copy + at) + 1)
        argv[argc++] = copy + at;
    /* putenv, because setenv keeps every value that there ever was */
    (void)snprintf(variable, sizeof variable, "MSCOPE_FUZZ_COUNT=%s",
                   len > 0 && bytes[0] % 8 == 0 ? argv[argc - 1] : "7");
    (void)putenv(variable);
    const int code = mscope_options_read(&command, argc, argv, &args);
    if (code == MSCOPE_OPTIONS_GO_ON) {
        FUZZ_HOLDS(count >= 1 && count <= 100);
        FUZZ_HOLDS(size >= 1 && size <= 1000000000000u);
        FUZZ_HOLDS(real >= 0 && real <= 1);
        FUZZ_HOLDS(args >= 0 && args <= 3 && texts.n <= MSCOPE_TEXTS_MAX);
    }
    return 0;
}
