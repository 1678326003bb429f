/* endpoint.c - where daemon, trainer and listener of one user meet when no address is given
 *
 * One socket file for each conversation, in the user's runtime directory if there is one.
 * Nothing is created here; the daemon binds the files.                                       */
#include "endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "mscope/wire.h"

int mscope_default_directory(char *out, size_t cap)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const int n = runtime != NULL && runtime[0] == '/'
                      ? snprintf(out, cap, "%s/momentscope", runtime)
                      : snprintf(out, cap, "/tmp/momentscope-%lu", (unsigned long)getuid());

    return n < 0 || (size_t)n >= cap ? MSCOPE_ENOMEM : 0;
}

int mscope_default_endpoint(const char *which, char *out, size_t cap)
{
    static const struct {
        const char *which, *variable;
    } known[] = {
        { "ingest", "MOMENTSCOPE_INGEST" },
        { "telemetry", "MOMENTSCOPE_TELEMETRY" },
        { "replay", "MOMENTSCOPE_REPLAY" },
    };

    if (which == NULL || out == NULL || cap == 0)
        return MSCOPE_EINVAL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(which, known[i].which) != 0)
            continue;
        const char *said = getenv(known[i].variable);
        char dir[256];
        int n = -1;
        if (said != NULL && said[0] != '\0')
            n = snprintf(out, cap, "%s", said);
        else if (mscope_default_directory(dir, sizeof dir) == 0)
            n = snprintf(out, cap, "ipc://%s/%s.ipc", dir, which);
        return n < 0 || (size_t)n >= cap ? MSCOPE_ENOMEM : 0;
    }
    return MSCOPE_EINVAL;
}

int mscope_shm_path(const char *endpoint, char *out, size_t cap)
{
    int n;

    if (strncmp(endpoint, "ipc://", 6) != 0 || endpoint[6] == '@' || endpoint[6] == '\0')
        return MSCOPE_EINVAL;
    n = snprintf(out, cap, "%s.shm", endpoint + 6);
    return n < 0 || (size_t)n >= cap ? MSCOPE_EINVAL : 0;
}
