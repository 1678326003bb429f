/* lines.c - what commands read as lines: predict --jsonl, advise --jsonl, and result files of bench compare
 *
 * The commands themselves are called. None may end by itself, and each gives an exit code that its help names.      */
#include "cli/cli.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[64], *predict[] = { (char[]){ "predict" }, (char[]){ "--jsonl" }, NULL };
    char *advise[] = { (char[]){ "advise" }, (char[]){ "--jsonl" }, (char[]){ "--json" }, NULL };
    char *compare[] = { (char[]){ "bench" }, (char[]){ "compare" }, path, NULL };
    int code = 0;

    if (len == 0 || len > 4096)
        return 0;
    const int errors = fuzz_quiet(), fd = fuzz_file(bytes + 1, len - 1, path);
    if (bytes[0] % 3 < 2) {
        FUZZ_HOLDS(lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, STDIN_FILENO) >= 0);
        clearerr(stdin);
        (void)fseek(stdin, 0, SEEK_SET);
        code = bytes[0] % 3 == 0 ? mscope_cmd_predict(2, predict) : mscope_cmd_advise(3, advise);
    } else {
        code = mscope_cmd_bench(3, compare);
    }
    fuzz_loud(errors);
    FUZZ_HOLDS(code >= 0 && code <= 8);
    (void)close(fd);
    return 0;
}
