/* verify.c - see verify.h */
#include "verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "protocol/meet/keys.h"
#include "protocol/meet/owner.h"
#include "restore.h"

static int say(int err, const char *option, const char *value, const char *why)
{
    if (err)
        fprintf(stderr, "momentscoped: --%s is '%s': %s\n", option, value, why);
    return err;
}

static int check_place(const char *option, const char *endpoint)
{
    char why[MSCOPE_OWNER_WHY];
    const int err = mscope_owner_place(endpoint, why);

    return say(err, option, endpoint, why);
}

static int check_keys(const char *dir)
{
    mscope_keys own;
    char why[MSCOPE_KEYS_WHY];
    int n, err = dir[0] == '\0' ? 0 : mscope_keys_read(dir, &own, why);

    if (!err && dir[0] != '\0' && (n = mscope_keys_list(dir, NULL, 0, why)) < 0)
        err = n;
    return say(err, "keys", dir, why);
}

/* Can a file be made beside this one? */
static int check_file(const char *option, const char *path)
{
    char dir[1100];
    char *slash;

    if (path[0] == '\0')
        return 0;
    (void)snprintf(dir, sizeof dir, "%s", path);
    slash = strrchr(dir, '/');
    if (slash == NULL)
        (void)snprintf(dir, sizeof dir, ".");
    else
        slash[slash == dir] = '\0';
    return access(dir, W_OK | X_OK) == 0 ? 0 : say(MSCOPE_EIO, option, path, strerror(errno));
}

int mscope_verify_options(const mscope_options *o)
{
    const int bad[] = { check_place("ingest", o->ingest), check_place("telemetry", o->telemetry),
                        check_place("replay", o->replay), check_keys(o->keys), check_file("state", o->state),
                        check_file("log", o->log) };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (bad[i])
            return bad[i];
    printf("the options are good\n");
    return 0;
}

int mscope_verify_state(mscope_engine *e, const char *path)
{
    const int err = mscope_restore_state(e, path, 0);
    unsigned tables = 0;

    if (err == 1)
        return say(MSCOPE_EIO, "verify", path, strerror(ENOENT));
    if (err)
        return err;
    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        const mscope_shadow *s = &e->shadows[i];
        if (!s->used)
            continue;
        tables++;
        printf("%s: %u rows x %u, step %llu, %s, %llu lost steps\n", s->hello.table, s->hello.rows, s->hello.dim,
               (unsigned long long)mscope_table_steps(s->core), s->exact ? "exact" : "not exact",
               (unsigned long long)s->lost);
    }
    printf("%s is whole: %u tables\n", path, tables);
    return 0;
}
