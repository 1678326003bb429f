/* daemonoptions.c - momentscoped's command line and its environment: what is taken is in its range
 *
 * An input is texts that end with 0: first variables, as many as its first byte says, then arguments.             */
#include "daemon/options.h"
#include "fuzz.h"

enum { ARGS = 12, VARIABLES = 4, TEXT = 2048 };

extern char **environ;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char text[ARGS + VARIABLES][TEXT];
    static mscope_options o;
    char *argv[ARGS + 2] = { (char[]){ "momentscoped" } }, *variable[VARIABLES + 1] = { NULL };
    char **const own = environ;
    fuzz_input in = { bytes, len };
    int argc = 1, n = (int)fuzz_take(&in, 1) % (VARIABLES + 1);

    for (int i = 0; i < n; i++) {
        memcpy(text[ARGS + i], "MOMENTSCOPE_", 12);
        (void)fuzz_text(&in, text[ARGS + i] + 12, TEXT - 12);
        variable[i] = text[ARGS + i];
    }
    for (; argc <= ARGS && in.left > 0; argc++) {
        (void)fuzz_text(&in, text[argc - 1], TEXT);
        argv[argc] = text[argc - 1];
    }
    environ = variable;
    const int rc = mscope_options_parse(&o, argc, argv);
    environ = own;
    FUZZ_HOLDS(rc == MSCOPE_OPTIONS_RUN || rc == 0 || rc == 2);
    if (rc != MSCOPE_OPTIONS_RUN)
        return 0;
    FUZZ_HOLDS(o.interval >= 0 && o.interval <= 3600 && o.max_tables >= 1 && o.max_tables <= 1024);
    FUZZ_HOLDS(o.history == 0 || (o.history >= 16 && (o.history & (o.history - 1)) == 0));
    FUZZ_HOLDS(o.max_connections >= 6 && o.max_connections <= 65536 && o.threads >= 1 && o.threads <= 64);
    FUZZ_HOLDS(strcmp(o.ingest, o.telemetry) != 0 && strcmp(o.ingest, o.replay) != 0);
    FUZZ_HOLDS(!o.allow_remote || o.keys[0] != '\0');
    return 0;
}
