/* keys_option.c - see keys_option.h */
#include "keys_option.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"

int mscope_keys_option(void *context, const char *value, char *why, size_t cap)
{
    (void)context;
    if (setenv("MOMENTSCOPE_KEYS", value, 1) == 0)
        return 0;
    (void)snprintf(why, cap, "expected a folder: out of memory");
    return -1;
}

void mscope_keys_tell(void *context, enum mscope_doorman_news what, int at, const char *who, const char *why)
{
    mscope_keys_told *t = context;
    const uint64_t now = mscope_monotonic_ns();

    (void)at;
    if (what == MSCOPE_DOORMAN_NOBODY || (what == MSCOPE_DOORMAN_LIST && !t->quiet))
        fprintf(stderr, "%s: %s%s\n", t->command, what == MSCOPE_DOORMAN_NOBODY ? "nobody is let in: " : "", why);
    if (what == MSCOPE_DOORMAN_NOBODY || what == MSCOPE_DOORMAN_LIST)
        return;
    atomic_fetch_add_explicit(&t->refused, 1, memory_order_relaxed);
    if (t->said_ns[what] != 0 && now - t->said_ns[what] < 1000000000u)
        return;
    t->said_ns[what] = now;
    fprintf(stderr, "%s: turned away: %s%s: %s\n", t->command,
            what == MSCOPE_DOORMAN_UNLISTED ? "public key " : "", who, why);
}

int mscope_keys_remote(const mscope_command *c, int remote)
{
    if (!remote || mscope_keys_folder() != NULL)
        return MSCOPE_OPTIONS_GO_ON;
    return mscope_options_refuse(c, "allow-remote", "1",
                                 "--keys DIR with it: without keys anybody in the network could connect, and read "
                                 "along; momentscope keys new DIR makes them");
}
