/* hook.c - see hook.h */
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "story_json.h"

enum { WAITING = 64, URL_MOST = 2048 };

static const double COMMAND_S = 30, CLOSE_S = 5;

extern char **environ;

struct mscope_hook {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    char *queue[WAITING];                /* JSON, ring                                              */
    size_t first, n;
    unsigned long long dropped;
    int stop;
    double stop_by;
    const char *command;
    int curl;                            /* file descriptor of curl's settings, -1: no address      */
};

/* -- children ------------------------------------------------------------------------------------------- */

/* Standard input from a pipe, standard output where errors go. Returns the pid and the pipe, or -1. */
static pid_t begin(char *const *argv, int *in)
{
    posix_spawn_file_actions_t files;
    int pipes[2];
    pid_t pid = -1;

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return -1;
    if (posix_spawn_file_actions_init(&files) == 0) {
        (void)posix_spawn_file_actions_adddup2(&files, pipes[0], 0);
        (void)posix_spawn_file_actions_adddup2(&files, 2, 1);
        if (posix_spawnp(&pid, argv[0], &files, NULL, argv, environ) != 0)
            pid = -1;
        (void)posix_spawn_file_actions_destroy(&files);
    }
    (void)close(pipes[0]);
    if (pid < 0)
        (void)close(pipes[1]);
    *in = pipes[1];
    return pid;
}

/* Wait for it, and no longer than it may take. */
static int end(const mscope_hook *n, pid_t pid)
{
    const struct timespec pause = { .tv_nsec = 20000000 };
    const double until = mscope_monotonic_s() + COMMAND_S;
    int status = 0;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        const double now = mscope_monotonic_s();
        if (now > until || (n->stop && now > n->stop_by)) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            return -1;
        }
        (void)nanosleep(&pause, NULL);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void run(const mscope_hook *n, char *const *argv, const char *what, const char *json)
{
    const size_t len = strlen(json);     /* less than a pipe holds: writing never waits */
    int in, code = -1;
    const pid_t pid = begin(argv, &in);

    if (pid > 0) {
        if (write(in, json, len) != (ssize_t)len && errno != EPIPE)
            fprintf(stderr, "momentscope serve: %s: %s\n", what, strerror(errno));
        (void)close(in);
        code = end(n, pid);
    }
    if (code != 0)
        fprintf(stderr, "momentscope serve: %s failed (%d) for %s", what, code, json);
}

static void tell_all(const mscope_hook *n, const char *json)
{
    char settings[32];
    char *const shell[] = { "/bin/sh", "-c", (char *)(uintptr_t)n->command, NULL };
    char *const curl[] = { "curl", "-sS", "-f", "-o", "/dev/null", "--proto", "=http,https", "--max-time", "10",
                           "--retry", "2", "-H", "Content-Type: application/json", "--data-binary", "@-",
                           "-K", settings, NULL };

    if (n->command != NULL)
        run(n, shell, "--exec", json);
    if (n->curl < 0)
        return;
    (void)snprintf(settings, sizeof settings, "/dev/fd/%d", n->curl);
    (void)lseek(n->curl, 0, SEEK_SET);
    run(n, curl, "--webhook", json);
}

static void *work(void *context)
{
    mscope_hook *n = context;

    (void)pthread_mutex_lock(&n->lock);
    for (;;) {
        while (n->n == 0 && !n->stop)
            (void)pthread_cond_wait(&n->wake, &n->lock);
        if (n->n == 0 || (n->stop && mscope_monotonic_s() > n->stop_by))
            break;
        char *json = n->queue[n->first];
        n->first = (n->first + 1) % WAITING;
        n->n--;
        (void)pthread_mutex_unlock(&n->lock);
        tell_all(n, json);
        free(json);
        (void)pthread_mutex_lock(&n->lock);
    }
    (void)pthread_mutex_unlock(&n->lock);
    return NULL;
}

/* -- begin and end ---------------------------------------------------------------------------------------- */

static int read_url(const char *file, char url[URL_MOST], char *why, size_t cap)
{
    FILE *in = fopen(file, "r");
    int ok = in != NULL && fgets(url, URL_MOST, in) != NULL;

    if (in == NULL)
        (void)snprintf(why, cap, "cannot read %s: %s", file, strerror(errno));
    else
        (void)fclose(in);
    if (in == NULL)
        return -1;
    url[ok ? strcspn(url, "\r\n") : 0] = '\0';
    ok = ok && (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0);
    for (const char *at = url; ok && *at != '\0'; at++)
        ok = *at > ' ' && *at < 127 && *at != '"' && *at != '\\';
    (void)snprintf(why, cap, "the first line of %s is no http or https address", file);
    return ok ? 0 : -1;
}

/* curl reads its address from a file that exists in memory alone. */
static int make_settings(const char *url)
{
    char line[URL_MOST + 16];
    const int len = snprintf(line, sizeof line, "url = \"%s\"\n", url), fd = memfd_create("momentscope-webhook", 0);

    if (fd >= 0 && write(fd, line, (size_t)len) == len)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static int have_curl(void)
{
    char *const argv[] = { "sh", "-c", "command -v curl >/dev/null 2>&1", NULL };
    int status = -1;
    pid_t pid;

    return posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) == 0 && waitpid(pid, &status, 0) == pid &&
           status == 0;
}

int mscope_hook_open(mscope_hook **out, const char *command, const char *url_file, char *why, size_t cap)
{
    mscope_hook *n = calloc(1, sizeof *n);
    char url[URL_MOST];
    int rc = MSCOPE_ENOMEM;

    *out = NULL;
    (void)snprintf(why, cap, "out of memory");
    if (n == NULL)
        return rc;
    *n = (mscope_hook){ .command = command, .curl = -1 };
    rc = url_file != NULL && read_url(url_file, url, why, cap) != 0 ? MSCOPE_EINVAL : 0;
    if (rc == 0 && url_file != NULL && !have_curl()) {
        (void)snprintf(why, cap, "--webhook needs the program curl, and there is none");
        rc = MSCOPE_EINVAL;
    }
    if (rc == 0 && url_file != NULL && (n->curl = make_settings(url)) < 0)
        rc = MSCOPE_EIO;
    (void)pthread_mutex_init(&n->lock, NULL);
    (void)pthread_cond_init(&n->wake, NULL);
    if (rc == 0 && pthread_create(&n->thread, NULL, work, n) != 0)
        rc = MSCOPE_EIO;
    if (rc == 0) {
        *out = n;
        return 0;
    }
    if (n->curl >= 0)
        (void)close(n->curl);
    free(n);
    return rc;
}

void mscope_hook_close(mscope_hook *n)
{
    if (n == NULL)
        return;
    (void)pthread_mutex_lock(&n->lock);
    n->stop = 1;
    n->stop_by = mscope_monotonic_s() + CLOSE_S;
    (void)pthread_cond_broadcast(&n->wake);
    (void)pthread_mutex_unlock(&n->lock);
    (void)pthread_join(n->thread, NULL);
    for (; n->n > 0; n->n--, n->first = (n->first + 1) % WAITING) {
        free(n->queue[n->first]);
        n->dropped++;
    }
    if (n->dropped > 0)
        fprintf(stderr, "momentscope serve: %llu alerts were not told: too many waited\n", n->dropped);
    if (n->curl >= 0)
        (void)close(n->curl);
    (void)pthread_mutex_destroy(&n->lock);
    (void)pthread_cond_destroy(&n->wake);
    free(n);
}

static int wanted(const mscope_happening *h)
{
    static const char *const more[] = { "fine", "unknown", "inexact", "silent", "heard", "restarted" };

    if (h->level >= MSCOPE_LEVEL_GROWING)
        return 1;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (strcmp(h->code, more[i]) == 0)
            return 1;
    return 0;
}

void mscope_hook_tell(mscope_hook *n, const mscope_happening *h, const char *source, long long id)
{
    char *json = NULL;
    size_t len = 0;
    FILE *to = n != NULL && wanted(h) ? open_memstream(&json, &len) : NULL;

    if (to == NULL)
        return;
    mscope_happening_json(to, h, source, id);
    fputc('\n', to);
    if (fclose(to) != 0)
        return;
    (void)pthread_mutex_lock(&n->lock);
    if (n->n < WAITING && !n->stop) {
        n->queue[(n->first + n->n++) % WAITING] = json;
        json = NULL;
        (void)pthread_cond_signal(&n->wake);
    } else {
        n->dropped++;
    }
    (void)pthread_mutex_unlock(&n->lock);
    free(json);
}
