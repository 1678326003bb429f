/* pool.c - fork, read each child's text through its pipe, hand it on when the child has ended well */
#include "pool.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MAX = 256 };

struct child {
    pid_t pid;
    int fd;
    size_t index, len, cap;
    char *text;
};

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
    stopped = sig;
}

static void child_main(const mscope_pool *p, size_t i, int fd, pid_t parent)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(3);
    char *text = p->work(i, p->ctx);
    if (text == NULL)
        _exit(2);
    for (size_t at = 0, len = strlen(text); at < len;) {
        const ssize_t n = write(fd, text + at, len - at);
        if (n <= 0)
            _exit(4);
        at += (size_t)n;
    }
    _exit(0);
}

static int start(const mscope_pool *p, size_t i, struct child *c)
{
    int fd[2];
    const pid_t parent = getpid();
    fflush(NULL);
    if (pipe(fd) < 0)
        return -1;
    *c = (struct child){ .pid = fork(), .fd = fd[0], .index = i };
    if (c->pid == 0) {
        close(fd[0]);
        child_main(p, i, fd[1], parent);
    }
    close(fd[1]);
    if (c->pid < 0)
        close(fd[0]);
    return c->pid < 0 ? -1 : 0;
}

/* Returns 1 while there may be more. */
static int more(struct child *c)
{
    if (c->cap - c->len < 4096) {
        char *text = realloc(c->text, c->cap + 65536);
        if (text == NULL)
            return 0;
        c->text = text;
        c->cap += 65536;
    }
    const ssize_t n = read(c->fd, c->text + c->len, c->cap - c->len - 1);
    c->len += n > 0 ? (size_t)n : 0;
    c->text[c->len] = '\0';
    return n > 0;
}

static void finish(const mscope_pool *p, struct child *c)
{
    int status = 0;
    close(c->fd);
    waitpid(c->pid, &status, 0);
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM))
        stopped = WTERMSIG(status);          /* the terminal's signal reached the child first */
    if (!stopped || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        p->done(c->index, WIFEXITED(status) && WEXITSTATUS(status) == 0 ? c->text : NULL, p->ctx);
    free(c->text);
    c->pid = 0;
}

static size_t wait_some(const mscope_pool *p, struct child *c, size_t jobs)
{
    struct pollfd f[JOBS_MAX];
    size_t ended = 0;
    for (size_t k = 0; k < jobs; k++)
        f[k] = (struct pollfd){ .fd = c[k].pid > 0 ? c[k].fd : -1, .events = POLLIN };
    if (poll(f, (nfds_t)jobs, 1000) <= 0)
        return 0;
    for (size_t k = 0; k < jobs; k++)
        if (c[k].pid > 0 && f[k].revents != 0 && !more(&c[k])) {
            finish(p, &c[k]);
            ended++;
        }
    return ended;
}

int mscope_pool_run(const mscope_pool *p)
{
    struct child c[JOBS_MAX] = { { 0, -1, 0, 0, 0, NULL } };
    const size_t jobs = (size_t)(p->jobs < 1 ? 1 : p->jobs > JOBS_MAX ? JOBS_MAX : p->jobs);
    const struct sigaction act = { .sa_handler = stop };
    struct sigaction old_int, old_term;
    size_t next = 0, live = 0;
    int rc = 0;
    stopped = 0;
    sigaction(SIGINT, &act, &old_int);
    sigaction(SIGTERM, &act, &old_term);
    while (rc == 0 && !stopped && (next < p->n || live > 0)) {
        for (size_t k = 0; k < jobs && next < p->n && rc == 0; k++)
            if (c[k].pid == 0) {
                rc = start(p, next++, &c[k]);
                live += rc == 0;
            }
        live -= wait_some(p, c, jobs);
    }
    for (size_t k = 0; k < jobs; k++)
        if (c[k].pid > 0) {
            kill(c[k].pid, SIGKILL);
            finish(p, &c[k]);
        }
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    return rc < 0 ? -1 : stopped ? 1 : 0;
}
