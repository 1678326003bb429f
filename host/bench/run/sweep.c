/* sweep.c - all runs of a grid in a few processes, one JSON line each, resumed from the lines that a file already has
 *
 * The output file is the only state. A line is appended by one write when its run has ended. A last line that a kill
 * cut short is removed at the next start, and its run is repeated. Runs whose key is in the file are not run again. */
#include "sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "common/clock.h"
#include "common/fnv1a.h"
#include "common/line.h"
#include "execute.h"
#include "pool.h"
#include "ranks.h"

#include "mscope/wire.h"

struct sweep {
    mscope_bench_run *run;
    size_t *todo, n_todo, ended, failed;           /* todo: indices of run                              */
    int fd, quiet;
    int broken, cause;                             /* broken: a line could not be written, so stop; cause: its errno */
    double started;
    char *why;                                     /* room for WHY bytes                                */
};

enum { KEY = 2048, WHY = 512 };

/* ---- the file ------------------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted keys of the complete lines; a partial last line is cut off. Returns how many, or negative. */
static long keys_of(int fd, char ***keys)
{
    FILE *f = fdopen(dup(fd), "r");
    char *line = NULL;
    size_t cap = 0, n = 0, room = 0;
    long len;
    off_t whole = 0;
    *keys = NULL;
    if (f == NULL)
        return -1;
    rewind(f);
    while ((len = mscope_line_next(&line, &cap, f)) > 0 && line[len - 1] == '\n') {
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
    if (len < 0 || fstat(fd, &now) < 0 || (S_ISREG(now.st_mode) && now.st_size > whole && ftruncate(fd, whole) < 0))
        return -1;
    return (long)n;
}

/* Workers outlive a killed sweep for a moment and hold its lock until then. */
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

/* Opens, locks and reads the file. Runs that it has are not to do. Returns 0 or negative. */
static int resume(struct sweep *s, const char *path, size_t runs)
{
    char **keys, key[KEY], *ask = key;
    s->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (s->fd < 0 || lock(s->fd) < 0) {
        snprintf(s->why, WHY, "cannot write %s: %s", path,
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
    if (n < 0)
        snprintf(s->why, WHY, "cannot read %s: %s", path, strerror(errno));
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
    const double spent = mscope_monotonic_s() - s->started, done = (double)s->ended;
    const int tty = isatty(2);
    if (s->quiet || (!tty && s->ended != s->n_todo && s->ended % (s->n_todo / 10 + 1) != 0))
        return;
    fprintf(stderr, "%s%zu of %zu runs, %.0f s, %.0f s to go%s", tty ? "\r\033[K" : "", s->ended, s->n_todo, spent,
            spent / done * ((double)s->n_todo - done), tty && s->ended < s->n_todo ? "" : "\n");
}

/* Returns 0, or -1 with errno. Part of the text may be written then; the next start cuts it off. */
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
        return;                                    /* a line behind half a line could not be read either */
    s->ended++;
    if (text == NULL) {
        char key[KEY];
        mscope_run_key(&s->run[i], 1, key, sizeof key);
        fprintf(stderr, "momentscope bench run: this run failed: %s\n", key);
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
        s->cause = errno;
        s->broken = 1;
        s->ended--;
    }
    free(line);
    if (!s->broken)
        progress(s);
}

/* Fingerprint of what each index means: under mpirun all ranks must agree on it. */
static uint64_t meaning(const struct sweep *s, size_t runs)
{
    char key[KEY];
    uint64_t h = mscope_fnv1a(0, MSCOPE_VERSION);
    for (size_t i = 0; i < runs; i++) {
        mscope_run_key(&s->run[i], 1, key, sizeof key);
        h = mscope_fnv1a(h, key);
    }
    return h;
}

/* Every index is to do where no file says otherwise. Returns 0 or negative. */
static int plan(struct sweep *s, const char *path, size_t runs)
{
    snprintf(s->why, WHY, "out of memory");
    s->todo = calloc(runs + 1, sizeof *s->todo);
    if (s->todo == NULL || (path != NULL && resume(s, path, runs) < 0))
        return -1;
    for (; path == NULL && s->n_todo < runs; s->n_todo++)
        s->todo[s->n_todo] = s->n_todo;
    s->why[0] = '\0';
    return 0;
}

static void announce(const struct sweep *s, const char *note, size_t runs)
{
    if (s->quiet)
        return;
    if (note[0] != '\0')
        fprintf(stderr, "%s\n", note);
    fprintf(stderr, "%zu runs, %zu to do\n", runs, s->n_todo);
}

static int judge(const struct sweep *s, int rc, const char *path)
{
    if (rc == MSCOPE_POOL_SERVED)
        return MSCOPE_SWEEP_DONE;
    if (rc == MSCOPE_POOL_INTERRUPTED && !s->quiet && isatty(2))
        fprintf(stderr, "\n");                     /* ends the line of progress */
    if (s->broken && path == NULL && s->cause == EPIPE)
        s->why[0] = '\0';                          /* a reader that left (head) has read what it wanted */
    else if (s->broken)
        snprintf(s->why, WHY,
                 "cannot write %s: %s; stopped after %zu of %zu runs, the same command goes on once there is room",
                 path != NULL ? path : "standard output", strerror(s->cause), s->ended, s->n_todo);
    else if (rc == MSCOPE_POOL_INTERRUPTED)
        snprintf(s->why, WHY, "interrupted after %zu of %zu runs; the same command goes on", s->ended, s->n_todo);
    else if (s->failed > 0)
        snprintf(s->why, WHY, "%zu of %zu runs failed", s->failed, s->n_todo);
    return rc == MSCOPE_POOL_DONE && s->failed == 0 ? MSCOPE_SWEEP_DONE : MSCOPE_SWEEP_FAILED;
}

static int run_all(struct sweep *s, const mscope_sweep *w, const char *path, size_t runs)
{
    const mscope_pool pool = { .n = s->n_todo, .which = s->todo, .meaning = meaning(s, runs), .jobs = w->jobs,
                               .stop = &s->broken, .ctx = s, .work = work, .done = done };
    s->started = mscope_monotonic_s();
    const int code = judge(s, mscope_pool_run(&pool), path);
    if (path == NULL || close(s->fd) == 0)
        return code;
    snprintf(s->why, WHY, "cannot write %s: %s", path, strerror(errno));
    return MSCOPE_SWEEP_FAILED;
}

int mscope_sweep_run(const mscope_sweep *w, char why[512])
{
    struct sweep s = { .fd = STDOUT_FILENO, .quiet = w->quiet || mscope_ranks_mine() != 0, .why = why };
    const char *path = mscope_ranks_mine() == 0 ? w->path : NULL;  /* the file belongs to rank 0 */
    const long runs = mscope_grid_expand(w->grid, &s.run);
    int code = MSCOPE_SWEEP_FAILED;
    why[0] = '\0';
    if (runs < 0) {
        snprintf(why, WHY, "this grid has more than %d runs", MSCOPE_GRID_RUNS);
        return MSCOPE_SWEEP_TOO_LARGE;
    }
    if (plan(&s, path, (size_t)runs) == 0) {
        announce(&s, w->grid->facts.note, (size_t)runs);
        code = run_all(&s, w, path, (size_t)runs);
    }
    free(s.todo);
    free(s.run);
    return code;
}
