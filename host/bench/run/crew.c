/* crew.c - forks children, reads the text of each through a pipe, and hands it on when the child exits with 0 */
#include "crew.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
    stopped = sig;
}

int mscope_crew_stopped(void)
{
    return stopped != 0;
}

int mscope_pool_stopped(const mscope_pool *p)
{
    return mscope_crew_stopped() || (p->stop != NULL && *p->stop);
}

void mscope_crew_open(mscope_crew *c, const mscope_pool *p)
{
    const struct sigaction act = { .sa_handler = stop };
    memset(c, 0, sizeof *c);
    c->pool = p;
    c->jobs = (size_t)(p->jobs < 1 ? 1 : p->jobs > MSCOPE_POOL_JOBS ? MSCOPE_POOL_JOBS : p->jobs);
    stopped = 0;
    sigaction(SIGINT, &act, &c->old_int);
    sigaction(SIGTERM, &act, &c->old_term);
}

void mscope_crew_close(mscope_crew *c)
{
    sigaction(SIGINT, &c->old_int, NULL);
    sigaction(SIGTERM, &c->old_term, NULL);
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

int mscope_crew_start(mscope_crew *c, size_t i)
{
    struct mscope_crew_child *k = c->child;
    int fd[2];
    const pid_t parent = getpid();
    while (k < c->child + c->jobs && k->pid != 0)
        k++;
    fflush(NULL);
    if (k == c->child + c->jobs || pipe(fd) < 0)
        return -1;
    *k = (struct mscope_crew_child){ .pid = fork(), .fd = fd[0], .index = i };
    if (k->pid == 0) {
        close(fd[0]);
        child_main(c->pool, i, fd[1], parent);
    }
    close(fd[1]);
    if (k->pid < 0) {
        close(fd[0]);
        k->pid = 0;
        return -1;
    }
    c->live++;
    return 0;
}

/* Reads once. Returns 1 while there may be more. */
static int more(struct mscope_crew_child *k)
{
    if (k->cap - k->len < 4096) {
        char *text = realloc(k->text, k->cap + 65536);
        if (text == NULL)
            return 0;
        k->text = text;
        k->cap += 65536;
    }
    const ssize_t n = read(k->fd, k->text + k->len, k->cap - k->len - 1);
    k->len += n > 0 ? (size_t)n : 0;
    k->text[k->len] = '\0';
    return n > 0;
}

static void finish(mscope_crew *c, struct mscope_crew_child *k, int killed, mscope_crew_ended *ended, void *ctx)
{
    int status = 0;
    close(k->fd);
    while (waitpid(k->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM))
        stopped = WTERMSIG(status);          /* the terminal's signal reached the child first */
    if (!(stopped || killed) || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        ended(k->index, WIFEXITED(status) && WEXITSTATUS(status) == 0 ? k->text : NULL, ctx);
    free(k->text);
    k->text = NULL;
    k->pid = 0;
    c->live--;
}

void mscope_crew_wait(mscope_crew *c, int timeout_ms, mscope_crew_ended *ended, void *ctx)
{
    struct pollfd f[MSCOPE_POOL_JOBS];
    for (size_t k = 0; k < c->jobs; k++)
        f[k] = (struct pollfd){ .fd = c->child[k].pid > 0 ? c->child[k].fd : -1, .events = POLLIN };
    if (poll(f, (nfds_t)c->jobs, timeout_ms) <= 0)
        return;
    for (size_t k = 0; k < c->jobs; k++)
        if (c->child[k].pid > 0 && f[k].revents != 0 && !more(&c->child[k]))
            finish(c, &c->child[k], 0, ended, ctx);
}

void mscope_crew_kill(mscope_crew *c, mscope_crew_ended *ended, void *ctx)
{
    for (size_t k = 0; k < c->jobs; k++)
        if (c->child[k].pid > 0) {
            kill(c->child[k].pid, SIGKILL);
            while (more(&c->child[k])) {              /* it may be complete, with part of its text still in the pipe */
            }
            finish(c, &c->child[k], 1, ended, ctx);
        }
}
