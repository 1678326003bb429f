/* runner.c - bench run: a grid of runs in a few processes, one JSON line each, resumed where a file already has them
 *
 * The output file is the only state. A line is appended by one write when its run has ended; a last line cut short by a
 * kill is removed at the next start and its run repeated. Runs whose key is in the file are not run again.           */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "execute.h"
#include "pool.h"
#include "ranks.h"

#include "mscope/wire.h"

struct sweep {
    mscope_bench_run *run;
    size_t *todo, n_todo, ended, failed;           /* todo: indices of run                              */
    int fd, quiet, broken;                         /* broken: a line could not be written, nothing goes on */
    double started;
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Keys of the complete lines, sorted; cuts a partial last line off. Returns how many, negative on an error. */
static long keys_of(int fd, char ***keys)
{
    FILE *f = fdopen(dup(fd), "r");
    char *line = NULL;
    size_t cap = 0, n = 0, room = 0;
    ssize_t len;
    off_t whole = 0;
    *keys = NULL;
    if (f == NULL)
        return -1;
    rewind(f);
    while ((len = getline(&line, &cap, f)) > 0 && line[len - 1] == '\n') {
        cJSON *o = cJSON_Parse(line);
        const char *key = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "key"));
        whole += len;
        if (n == room) {
            char **wider = realloc(*keys, (room = 2 * room + 64) * sizeof *wider);
            if (wider == NULL)
                break;
            *keys = wider;
        }
        if (key != NULL)
            (*keys)[n++] = strdup(key);
        cJSON_Delete(o);
    }
    free(line);
    fclose(f);
    if (n > 0)
        qsort(*keys, n, sizeof **keys, by_text);
    struct stat now;
    return fstat(fd, &now) < 0 || (S_ISREG(now.st_mode) && now.st_size > whole && ftruncate(fd, whole) < 0) ? -1 : (long)n;
}

/* The workers of a killed sweep hold its lock for the moment that they outlive it. */
static int lock(int fd)
{
    const struct timespec moment = { 0, 50 * 1000 * 1000 };

    for (int i = 0; i < 60; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK)
            return -1;
        nanosleep(&moment, NULL);
    }
    errno = EWOULDBLOCK;
    return -1;
}

/* Opens, locks and reads the file; drops runs that it has. Returns 0 or negative. */
static int resume(struct sweep *s, const char *path, size_t runs)
{
    char **keys, key[2048], *ask = key;
    s->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (s->fd < 0 || lock(s->fd) < 0) {
        fprintf(stderr, "momentscope bench run: %s: %s\n", path,
                errno == EWOULDBLOCK ? "another sweep is writing it" : strerror(errno));
        return -1;
    }
    const long n = keys_of(s->fd, &keys);
    for (size_t i = 0; i < runs; i++) {
        mscope_run_key(&s->run[i], 1, key, sizeof key);
        if (n <= 0 || bsearch(&ask, keys, (size_t)n, sizeof *keys, by_text) == NULL)
            s->todo[s->n_todo++] = i;
    }
    for (long i = 0; i < n; i++)
        free(keys[i]);
    free(keys);
    return n < 0 ? -1 : 0;
}

/* ---- the sweep ------------------------------------------------------------------------------------------------ */

static char *work(size_t i, void *ctx)
{
    struct sweep *s = ctx;
    const char *why;
    char *text = mscope_bench_execute(&s->run[i], &why);
    if (text == NULL)
        fprintf(stderr, "\nmomentscope bench run: %s\n", why);
    return text;
}

static void progress(const struct sweep *s)
{
    const double spent = seconds() - s->started, done = (double)s->ended;
    const int tty = isatty(2);
    if (s->quiet || (!tty && s->ended != s->n_todo && s->ended % (s->n_todo / 10 + 1) != 0))
        return;
    fprintf(stderr, "%s%zu of %zu runs, %.0f s, %.0f s to go%s", tty ? "\r\033[K" : "", s->ended, s->n_todo, spent,
            spent / done * ((double)s->n_todo - done), tty && s->ended < s->n_todo ? "" : "\n");
}

/* Returns 0, or -1 with errno; part of it may be there: the next start cuts that off. */
static int write_all(int fd, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        const ssize_t n = write(fd, text + at, len - at);
        if (n < 0 && errno != EINTR)
            return -1;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void done(size_t i, const char *text, void *ctx)
{
    struct sweep *s = ctx;
    if (s->broken)
        return;                                    /* a line behind half a line would be lost as well */
    s->ended++;
    if (text == NULL) {
        char key[2048];
        mscope_run_key(&s->run[i], 1, key, sizeof key);
        fprintf(stderr, "momentscope bench run: failed: %s\n", key);
        s->failed++;
        return;
    }
    const size_t len = strlen(text);
    char *line = malloc(len + 2);
    if (line == NULL) {
        s->failed++;
        return;
    }
    memcpy(line, text, len);
    line[len] = '\n';
    if (write_all(s->fd, line, len + 1) < 0) {
        fprintf(stderr, "momentscope bench run: cannot write: %s\n", strerror(errno));
        s->broken = 1;
        s->ended--;
    }
    free(line);
    if (!s->broken)
        progress(s);
}

/* Under mpirun the ranks must mean the same runs by the same indices. */
static uint64_t meaning(const struct sweep *s, size_t runs)
{
    char key[2048];
    uint64_t h = mscope_pool_mean(0, MSCOPE_VERSION);
    for (size_t i = 0; i < runs; i++) {
        mscope_run_key(&s->run[i], 1, key, sizeof key);
        h = mscope_pool_mean(h, key);
    }
    return h;
}

static int refuse(const char *what, const char *name)
{
    if (mscope_ranks_mine() == 0)
        fprintf(stderr, "momentscope bench run: %s%s\n", what, name);
    return MSCOPE_EXIT_USAGE;
}

/* The file belongs to rank 0; the others compute what they are told. */
static int sweep(const mscope_grid *g, const char *path, int jobs, int quiet)
{
    struct sweep s = { .fd = STDOUT_FILENO, .quiet = quiet };
    const long runs = mscope_grid_expand(g, &s.run);
    const int first = mscope_ranks_mine() == 0;
    if (runs < 0) {
        char many[32];
        snprintf(many, sizeof many, "%d runs", MSCOPE_GRID_RUNS);
        return refuse("this grid has more than ", many);
    }
    path = first ? path : NULL;
    s.todo = calloc((size_t)runs + 1, sizeof *s.todo);
    if (s.todo == NULL || (path != NULL && resume(&s, path, (size_t)runs) < 0)) {
        free(s.todo);
        free(s.run);
        return MSCOPE_EXIT_FAILED;
    }
    for (; path == NULL && s.n_todo < (size_t)runs; s.n_todo++)
        s.todo[s.n_todo] = s.n_todo;
    if (!quiet && first && g->facts.note[0] != '\0')
        fprintf(stderr, "%s\n", g->facts.note);
    if (!quiet && first)
        fprintf(stderr, "%ld runs, %zu to do\n", runs, s.n_todo);
    s.started = seconds();
    const mscope_pool pool = { .n = s.n_todo, .which = s.todo, .meaning = meaning(&s, (size_t)runs), .jobs = jobs,
                               .stop = &s.broken, .ctx = &s, .work = work, .done = done };
    const int rc = mscope_pool_run(&pool);
    if (rc == MSCOPE_POOL_INTERRUPTED)
        fprintf(stderr, "%smomentscope bench run: %s after %zu of %zu runs; the same command goes on%s\n",
                s.broken ? "" : "\n", s.broken ? "stopped" : "interrupted", s.ended, s.n_todo,
                s.broken ? " once there is room" : "");
    if (path != NULL && close(s.fd) < 0) {
        fprintf(stderr, "momentscope bench run: %s: %s\n", path, strerror(errno));
        s.failed++;
    }
    free(s.todo);
    free(s.run);
    return rc == MSCOPE_POOL_SERVED || (rc == MSCOPE_POOL_DONE && s.failed == 0) ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

static void usage(FILE *to)
{
    fprintf(to,
            "usage: momentscope bench run WORKLOAD [OPTION...]\n\n"
            "  --schedules A,B,..   rules from bench list (constant)\n"
            "  --semantics A,B,..   catchup, dense, frozen, row-clock (catchup)\n"
            "  --grid NAME=VALUES   a,b,c | LOW:HIGH:xN (geometric) | LOW:HIGH:+N (linear); once for each\n"
            "                       parameter (eps and beta are one); equal values count once;\n"
            "                       parameters of the workload, and eta, eps (or beta) and what a rule reads\n"
            "  --seeds N | A:B      (1; recording draws nothing and takes one)\n"
            "  --file FILE          recording: the file (momentscope record); --table NAME: which of its tables\n"
            "  --steps N            length of a run (1000; recording: its own length)\n"
            "  --every N            steps between two looks at the risk (steps/200)\n"
            "  --target F           share of the risk at the start that counts as learnt (0.05)\n"
            "  --jobs N             processes (1), under mpirun of each rank; results do not depend on it\n"
            "  --out FILE           append JSON lines to FILE and skip runs it already has (default: standard output)\n"
            "  --quiet              no progress\n\n"
            "example: momentscope bench run vocab-ls --schedules sgd,constant --grid eta=1:16:x5 --grid beta=0.9,0.99 \\\n"
            "             --grid batch=64,1024 --seeds 4 --steps 2000 --jobs 2 --out vocab.jsonl\n\n"
            "mpirun -n N momentscope bench run ... gives the same lines: rank 0 writes, the others compute.\n\n"
            "exit codes: 0 all runs done, 1 a run failed, a line could not be written (nothing more is run then)\n"
            "            or the sweep was interrupted, 2 wrong usage\n");
}

static int whole(const char *name, const char *text, double low, double high, double *out, char why[256])
{
    char *end;
    const double x = strtod(text, &end);
    if (end == text || *end != '\0' || !(x >= low && x <= high) || x != floor(x)) {
        snprintf(why, 256, "%s '%s': wanted a whole number from %g to %g", name, text, low, high);
        return -1;
    }
    *out = x;
    return 0;
}

enum { TEXTS = 8 };

struct options {
    mscope_grid grid;
    const char *text[TEXTS];
    const char *path;
    int jobs, quiet;
};

/* --NAME TEXT of the workload's origin. */
static int text_option(struct options *o, const char *name, char why[256])
{
    const mscope_bench_origin *from = o->grid.workload->origin;
    for (int i = 0; from != NULL && from->texts[i].name != NULL; i++)
        if (strcmp(from->texts[i].name, name) == 0) {
            o->text[i] = optarg;
            return 0;
        }
    snprintf(why, 256, "--%s '%.100s': %s takes none", name, optarg, o->grid.workload->name);
    return -1;
}

static int option(struct options *o, int c, char why[256])
{
    double x = 0;
    char *end;
    switch (c) {
    case 's': return mscope_grid_rules(&o->grid, optarg, why);
    case 'm': return mscope_grid_semantics(&o->grid, optarg, why);
    case 'g': return mscope_grid_set(&o->grid, optarg, why);
    case 'S': return mscope_grid_seeds(&o->grid, optarg, why);
    case 'o': o->path = optarg; return 0;
    case 'q': o->quiet = 1; return 0;
    case 'F': return text_option(o, "file", why);
    case 'T': return text_option(o, "table", why);
    case 'n':
        if (whole("--steps", optarg, 1, 1e9, &x, why) < 0)
            return -1;
        o->grid.steps = (uint64_t)x;
        return 0;
    case 'e':
        if (whole("--every", optarg, 1, 1e9, &x, why) < 0)
            return -1;
        o->grid.every = (uint64_t)x;
        return 0;
    case 'j':
        if (whole("--jobs", optarg, 1, 256, &x, why) < 0)
            return -1;
        o->jobs = (int)x;
        return 0;
    case 't':
        x = strtod(optarg, &end);
        o->grid.target = x;
        snprintf(why, 256, "--target '%s': wanted a number between 0 and 1", optarg);
        return end != optarg && *end == '\0' && x > 0 && x < 1 ? 0 : -1;
    default:
        snprintf(why, 256, "no such option, or its value is missing; --help lists them");
        return -1;
    }
}

int mscope_bench_run_main(int argc, char **argv)
{
    static const struct option known[] = {
        { "schedules", 1, NULL, 's' }, { "schedule", 1, NULL, 's' }, { "semantics", 1, NULL, 'm' },
        { "grid", 1, NULL, 'g' },      { "seeds", 1, NULL, 'S' },    { "steps", 1, NULL, 'n' },
        { "every", 1, NULL, 'e' },     { "target", 1, NULL, 't' },   { "jobs", 1, NULL, 'j' },
        { "out", 1, NULL, 'o' },       { "quiet", 0, NULL, 'q' },    { "file", 1, NULL, 'F' },
        { "table", 1, NULL, 'T' },     { NULL, 0, NULL, 0 },
    };
    static struct options o;
    char why[512];
    int c;
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        if (mscope_ranks_mine() == 0)
            usage(stdout);
        return MSCOPE_EXIT_OK;
    }
    const mscope_workload *w = argc >= 2 ? mscope_workload_find(argv[1]) : NULL;
    if (w == NULL)
        return refuse("momentscope bench list tells the workloads; there is none called ", argc >= 2 ? argv[1] : "''");
    mscope_grid_start(&o.grid, w);
    o.jobs = 1;
    opterr = 0;
    optind = 2;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
        if (option(&o, c, why) < 0)
            return refuse(why, "");
    if (optind < argc)
        return refuse("not an option: ", argv[optind]);
    const int rc = mscope_grid_open(&o.grid, o.text, why) < 0 ? refuse(why, "") : sweep(&o.grid, o.path, o.jobs, o.quiet);
    mscope_grid_close(&o.grid);
    return rc;
}
