/* options.c - see options.h; one table drives flags, environment, checks and --help */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/meet/bind.h"
#include "mscope/wire.h"

#if SIZE_MAX > 0xffffffffu
#define REPLAY_MOST 1e11
#else
#define REPLAY_MOST 1e9              /* what 32 bits can map */
#endif

enum type { TEXT, ENDPOINT, REAL, COUNT, BYTES, POWER, FLAG, LEVEL };

typedef struct option {
    const char *name;
    enum type type;
    size_t at, size;
    double low, high;
    const char *arg, *help;
} option;

#define AT(name) offsetof(mscope_options, name), sizeof(((mscope_options *)0)->name)

static const option options[] = {
    { "ingest", ENDPOINT, AT(ingest), 0, 0, "ENDPOINT", "where trainers connect" },
    { "telemetry", ENDPOINT, AT(telemetry), 0, 0, "ENDPOINT", "where subscribers connect" },
    { "replay", ENDPOINT, AT(replay), 0, 0, "ENDPOINT", "where replay of records is requested" },
    { "interval", REAL, AT(interval), 0, 3600, "SECONDS", "time between publications; 0: by steps alone (0.2)" },
    { "interval-steps", COUNT, AT(interval_steps), 0, 1e9, "N", "also publish a table every N steps; 0: no (0)" },
    { "state", TEXT, AT(state), 0, 0, "FILE", "load at start; write at exit, on SAVE and on SIGUSR1" },
    { "state-every", REAL, AT(state_every), 0, 86400, "SECONDS",
      "with --state: also write it that often, while something comes in; 0: no (300)" },
    { "discard-state", FLAG, AT(discard_state), 0, 0, NULL,
      "move aside a state file that cannot be read, and start" },
    { "map-dir", TEXT, AT(map_dir), 0, 0, "DIR", "keep large tables in files there, across restarts" },
    { "map-above", BYTES, AT(map_above), 0, 1e15, "BYTES",
      "size above which a table is large; for --map-dir (256M)" },
    { "kernel", TEXT, AT(kernel), 0, 0, "NAME", "compute kernel: ref, v128, v256, v512 (widest usable)" },
    { "max-tables", COUNT, AT(max_tables), 1, 1024, "N", "most tables at a time (64)" },
    { "max-bytes", BYTES, AT(max_bytes), 1048576, 1e15, "BYTES", "memory for all tables (4G)" },
    { "max-part", BYTES, AT(max_part), 4096, 4294967296.0, "BYTES",
      "largest message part accepted from a trainer (256M)" },
    { "takeover", REAL, AT(takeover), 0, 86400, "SECONDS", "silence after which a table may change hands (10)" },
    { "credit-messages", COUNT, AT(credit_messages), 1, 65536, "N",
      "messages a trainer may have unacknowledged (64)" },
    { "credit-bytes", BYTES, AT(credit_bytes), 4096, 1e12, "BYTES", "bytes a trainer may have unacknowledged (64M)" },
    { "max-connections", COUNT, AT(max_connections), 6, 65536, "N",
      "most connections at a time, half of them through one socket (2048)" },
    { "max-subscriptions", COUNT, AT(max_subscriptions), 1, 1e6, "N",
      "most subscriptions of one connection, 64 bytes each on average (8192)" },
    { "max-flight", BYTES, AT(max_flight), 1048576, 1e13, "BYTES",
      "bytes of trainers that arrived and wait to be applied (1G)" },
    { "history", POWER, AT(history), 16, 16777216, "STEPS", "steps kept to catch up silent rows; 0: 16384 (0)" },
    { "replay-bytes", BYTES, AT(replay_bytes), 65536, REPLAY_MOST, "BYTES", "telemetry kept for replay (32M)" },
    { "keys", TEXT, AT(keys), 0, 0, "DIR", "let in only peers with keys listed there, encrypted: momentscope keys" },
    { "allow-remote", FLAG, AT(allow_remote), 0, 0, NULL, "allow endpoints that other machines reach; needs --keys" },
    { "allow-users", FLAG, AT(allow_users), 0, 0, NULL, "let other users of this machine in, as far as files allow" },
    { "realtime", FLAG, AT(realtime), 0, 0, NULL, "lock and fault in memory, SCHED_FIFO, as far as allowed" },
    { "cpu", COUNT, AT(cpu), 0, 1023, "N", "processor for the engine's thread (any)" },
    { "threads", COUNT, AT(threads), 1, 64, "N", "threads that share a large step; 1 with --realtime (1)" },
    { "check-config", FLAG, AT(check_config), 0, 0, NULL, "check options, keys and places of files; start nothing" },
    { "verify", TEXT, AT(verify), 0, 0, "FILE", "read a state file, print what it holds, and start nothing" },
    { "log", TEXT, AT(log), 0, 0, "FILE", "log file, reopened on SIGHUP (stderr)" },
    { "log-level", LEVEL, AT(log_level), 0, 3, "LEVEL", "error, warn, info or debug (info)" },
};

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static const char *const levels[] = { "error", "warn", "info", "debug" };

/* as: the flag or the environment variable that the user wrote */
static int complain(const char *as, const char *value, const char *range)
{
    fprintf(stderr, "momentscoped: %s is '%s', expected %s\n", as, value, range);
    return 2;
}

enum { AS_MAX = 64 };

static const char *flag_of(const option *o, char as[AS_MAX])
{
    (void)snprintf(as, AS_MAX, "--%s", o->name);
    return as;
}

static const char *variable_of(const option *o, char as[AS_MAX])
{
    size_t n = (size_t)snprintf(as, AS_MAX, "MOMENTSCOPE_%s", o->name);

    for (size_t i = 0; i < n; i++)
        as[i] = as[i] == '-' ? '_' : (char)toupper((unsigned char)as[i]);
    return as;
}

static const char about[] =
    "Follow sparse momentum training of attached trainers, and publish what momentum\n"
    "does to rows of each frequency. An option can also be set in the environment:\n"
    "--max-tables as MOMENTSCOPE_MAX_TABLES. Defaults are in parentheses.\n";
static const char signals[] =
    "Signals: SIGTERM and SIGINT stop in order; SIGHUP reopens the log and\n"
    "publishes every record again; SIGUSR1 writes the state file.\n";
static const char example[] = "momentscoped --state ~/momentscope.state --interval 0.25\n";
static const char exits[] =
    "0  stopped in order\n"
    "1  failed while running\n"
    "2  bad option\n"
    "3  the state file or a file of --map-dir cannot be read or written\n"
    "4  an endpoint cannot be bound: another momentscoped is listening, something\n"
    "   else is in the way, or there is no permission\n";

static const option ends[] = {
    { "help", FLAG, 0, 0, 0, 0, NULL, "print this help" },
    { "version", FLAG, 0, 0, 0, 0, NULL, "print the versions of program and wire" },
};

static void print_indented(const char *text)
{
    for (; *text != '\0'; text += strcspn(text, "\n") + 1)
        printf("  %.*s\n", (int)strcspn(text, "\n"), text);
}

static void print_option(const option *o)
{
    char left[64];

    (void)snprintf(left, sizeof left, "--%s %s", o->name, o->arg ? o->arg : "");
    printf("  %-21s %s\n", left, o->help);
}

static int help(void)
{
    printf("usage: momentscoped [--OPTION VALUE]...\n\n%s\n", about);
    for (size_t i = 0; i < LEN(options); i++)
        print_option(&options[i]);
    for (size_t i = 0; i < LEN(ends); i++)
        print_option(&ends[i]);
    printf("\n%s\nExample, a daemon that survives restarts and publishes four times a second:\n", signals);
    print_indented(example);
    printf("\nExit status:\n");
    print_indented(exits);
    return 0;
}

/* A text whose lines end where the terminal does; `joined` makes one line of them. */
static void data_line(const char *key, const char *text, int joined)
{
    printf("%s\t", key);
    for (; text[0] != '\0' && text[1] != '\0'; text++)      /* without the last newline */
        if (*text == '\n')
            fputs(joined ? " " : "\\n", stdout);
        else
            putchar(*text);
    putchar('\n');
}

/* The same for programs, as host/common/manual.h has it. */
static int help_data(void)
{
    char as[AS_MAX];

    printf("name\tmomentscoped\nbrief\tthe daemon that follows momentum beside a training loop\n"
           "usage\t[OPTION...]\n");
    data_line("about", about, 1);
    for (size_t i = 0; i < LEN(options); i++)
        printf("option\t%s\t%s\t%s\t%s\n", options[i].name, options[i].arg ? options[i].arg : "", options[i].help,
               variable_of(&options[i], as));
    for (size_t i = 0; i < LEN(ends); i++)
        printf("option\t%s\t\t%s\t\n", ends[i].name, ends[i].help);
    data_line("notes", signals, 1);
    data_line("example", example, 0);
    data_line("exits", exits, 0);
    return 0;
}

/* -- values ----------------------------------------------------------------------------------- */

static int set_number(const option *o, const char *as, const char *value, void *at)
{
    char range[96], *end;
    double scale = 1, v;

    errno = 0;
    v = strtod(value, &end);
    if (o->type == BYTES && *end != '\0' && end[1] == '\0') {
        scale = *end == 'K' ? 1024.0 : *end == 'M' ? 1048576.0 : *end == 'G' ? 1073741824.0 : 0;
        end += scale > 0;
    }
    v *= scale;
    (void)snprintf(range, sizeof range, o->type == POWER ? "0, or a power of two %.15g..%.15g" : "%.15g..%.15g%s",
                   o->low, o->high, o->type == BYTES ? " (K, M, G allowed)"
                                    : o->type == COUNT ? ", a whole number" : "");
    if (end == value || *end != '\0' || errno != 0 || !isfinite(v))
        return complain(as, value, range);
    if (o->type == POWER && v == 0) {
        *(uint64_t *)at = 0;
        return 0;
    }
    if (v < o->low || v > o->high || (o->type != REAL && v != floor(v)) ||
        (o->type == POWER && ((uint64_t)v & ((uint64_t)v - 1)) != 0))
        return complain(as, value, range);
    if (o->type == REAL)
        *(double *)at = v;
    else
        *(uint64_t *)at = (uint64_t)v;
    return 0;
}

static int set_text(const option *o, const char *as, const char *value, char *at)
{
    char range[64];

    (void)snprintf(range, sizeof range, "1..%zu bytes", o->size - 1);
    if (value[0] == '\0' || strlen(value) >= o->size)
        return complain(as, value, range);
    memcpy(at, value, strlen(value) + 1);
    return 0;
}

static int set_word(const option *o, const char *as, const char *value, int *at)
{
    if (o->type == FLAG) {
        if (strcmp(value, "1") != 0 && strcmp(value, "0") != 0)
            return complain(as, value, "0 or 1");
        *at = value[0] == '1';
        return 0;
    }
    for (int i = 0; i < (int)LEN(levels); i++)
        if (strcmp(value, levels[i]) == 0) {
            *at = i;
            return 0;
        }
    return complain(as, value, "error, warn, info or debug");
}

static int set(const option *o, const char *as, const char *value, mscope_options *out)
{
    char *at = (char *)out + o->at;

    if (o->at == offsetof(mscope_options, map_above))
        out->map_above_given = value;
    switch (o->type) {
    case TEXT:
    case ENDPOINT:
        return set_text(o, as, value, at);
    case FLAG:
    case LEVEL:
        return set_word(o, as, value, (int *)(void *)at);
    default:
        return set_number(o, as, value, at);
    }
}

/* -- endpoints -------------------------------------------------------------------------------- */

/* by_variable: bit i says that option i has its value from the environment */
static int check_endpoints(const mscope_options *o, uint64_t by_variable)
{
    char as[AS_MAX];

    for (size_t i = 0; i < LEN(options); i++) {
        const char *e = (const char *)o + options[i].at;
        if (options[i].type != ENDPOINT)
            continue;
        const char *range = mscope_bind_range(e, o->allow_remote);
        if (range != NULL)
            return complain(by_variable >> i & 1 ? variable_of(&options[i], as) : flag_of(&options[i], as), e, range);
    }
    if (strcmp(o->ingest, o->telemetry) == 0 || strcmp(o->ingest, o->replay) == 0 ||
        strcmp(o->telemetry, o->replay) == 0) {
        fprintf(stderr, "momentscoped: --ingest, --telemetry and --replay must be three different endpoints: %s, %s, "
                        "%s\n", o->ingest, o->telemetry, o->replay);
        return 2;
    }
    return 0;
}

/* Whoever reaches the machine could feed tables, and read what the network carries. */
static int check_remote(const mscope_options *o)
{
    if (!o->allow_remote || o->keys[0] != '\0')
        return 0;
    fprintf(stderr, "momentscoped: --allow-remote is '1', expected --keys DIR with it: without keys anybody in the "
                    "network could connect, and read along. `momentscope keys new DIR` makes them\n");
    return 2;
}

/* -- options that depend on each other ---------------------------------------------------------------------- */

static int check_mapping(const mscope_options *o)
{
    if (o->map_above_given == NULL || o->map_dir[0] != '\0')
        return 0;
    fprintf(stderr, "momentscoped: --map-above is '%s', expected --map-dir DIR with it: without a directory no table "
                    "is kept in a file\n", o->map_above_given);
    return 2;
}

/* A thread at SCHED_FIFO that waits for ordinary threads waits for everything else that runs. */
static int check_threads(const mscope_options *o)
{
    if (o->threads == 1 || !o->realtime)
        return 0;
    fprintf(stderr, "momentscoped: --threads is '%llu', expected 1 with --realtime: the engine's thread must not wait "
                    "for others\n",
            (unsigned long long)o->threads);
    return 2;
}

/* -- all of it -------------------------------------------------------------------------------- */

_Static_assert(LEN(options) <= 64, "one bit an option");

static int from_environment(mscope_options *out, uint64_t *by_variable)
{
    char as[AS_MAX];

    for (size_t i = 0; i < LEN(options); i++) {
        const char *value = getenv(variable_of(&options[i], as));
        if (value == NULL || value[0] == '\0')
            continue;
        if (set(&options[i], as, value, out) != 0)
            return 2;
        *by_variable |= UINT64_C(1) << i;
    }
    return 0;
}

static int from_arguments(mscope_options *out, int argc, char **argv, uint64_t *by_variable)
{
    char as[AS_MAX];

    for (int i = 1; i < argc; i++) {
        const option *o = NULL;
        const char *eq = strchr(argv[i], '='), *value;
        size_t n = eq ? (size_t)(eq - argv[i]) : strlen(argv[i]);
        for (size_t k = 0; k < LEN(options); k++)
            if (n == strlen(options[k].name) + 2 && strncmp(argv[i], "--", 2) == 0 &&
                strncmp(argv[i] + 2, options[k].name, n - 2) == 0)
                o = &options[k];
        if (o == NULL) {
            fprintf(stderr, "momentscoped: unknown option '%s'; momentscoped --help lists them\n", argv[i]);
            return 2;
        }
        value = eq ? eq + 1 : o->type == FLAG ? "1" : i + 1 < argc ? argv[++i] : NULL;
        if (value == NULL) {
            fprintf(stderr, "momentscoped: --%s has no value, expected --%s %s\n", o->name, o->name, o->arg);
            return 2;
        }
        if (set(o, flag_of(o, as), value, out) != 0)
            return 2;
        *by_variable &= ~(UINT64_C(1) << (o - options));
    }
    return 0;
}

int mscope_options_parse(mscope_options *out, int argc, char **argv)
{
    uint64_t by_variable = 0;
    int status;

    *out = (mscope_options){ .interval = 0.2, .state_every = 300, .takeover = 10, .max_tables = 64,
                             .max_bytes = UINT64_C(4) << 30,
                             .max_part = UINT64_C(256) << 20, .credit_messages = 64,
                             .credit_bytes = UINT64_C(64) << 20, .replay_bytes = UINT64_C(32) << 20, .log_level = 2,
                             .map_above = UINT64_C(256) << 20, .max_connections = 2048,
                             .max_subscriptions = 8192, .max_flight = UINT64_C(1) << 30,
                             .cpu = MSCOPE_ANY_CPU, .threads = 1 };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return help();
        if (strcmp(argv[i], "--help=data") == 0)
            return help_data();
        if (strcmp(argv[i], "--version") == 0) {
            printf("momentscoped %s, wire %d\n", MSCOPE_VERSION, MSCOPE_WIRE_VERSION);
            return 0;
        }
    }
    status = from_environment(out, &by_variable);
    if (!status)
        status = from_arguments(out, argc, argv, &by_variable);
    if (status)
        return status;
    if ((out->ingest[0] == '\0' && mscope_default_endpoint("ingest", out->ingest, sizeof out->ingest)) ||
        (out->telemetry[0] == '\0' && mscope_default_endpoint("telemetry", out->telemetry, sizeof out->telemetry)) ||
        (out->replay[0] == '\0' && mscope_default_endpoint("replay", out->replay, sizeof out->replay))) {
        fprintf(stderr, "momentscoped: the default endpoints are too long; give --ingest, --telemetry and --replay\n");
        return 2;
    }
    status = check_endpoints(out, by_variable);
    if (!status)
        status = check_remote(out);
    if (!status)
        status = check_mapping(out);
    if (!status)
        status = check_threads(out);
    return status ? status : MSCOPE_OPTIONS_RUN;
}
