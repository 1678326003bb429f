/* pool_ranks.c - the conversation of pool_ranks.h
 *
 * Both sides poll for messages instead of waiting inside MPI, which would keep a core busy: rank 0 sleeps 0.2 ms
 * between looks, much less than the fork that every piece costs. */
#include "pool_ranks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAP_US = 200, FAREWELL_US = 500 * 1000 };

static void nap(void)
{
    const struct timespec moment = { 0, NAP_US * 1000 };
    nanosleep(&moment, NULL);
}

/* ---- rank 0 ------------------------------------------------------------------------------------------------------ */

struct lead {
    const mscope_pool *p;
    const mscope_ranks *r;
    size_t next, out;                /* pieces handed out so far; those not yet back                  */
    int gone, wrong;                 /* ranks that said B; 1: the pool cannot go on                   */
};

static int hand_out(struct lead *l, int to)
{
    char text[32];
    if (l->next == l->p->n)
        return 0;
    snprintf(text, sizeof text, "P %zu", l->p->which != NULL ? l->p->which[l->next] : l->next);
    l->next++;
    l->out++;
    return l->r->send(to, text);
}

static int welcome(struct lead *l, int from, const char *text)
{
    uint64_t meaning = 0;
    int jobs = 0, rc = 0;
    if (sscanf(text, "H %" SCNx64 " %d", &meaning, &jobs) != 2 || meaning != l->p->meaning) {
        fprintf(stderr, "momentscope bench: rank %d has other work; start every rank as the same program with the same "
                        "command line\n", from);
        l->wrong = 1;
        return 0;
    }
    for (; jobs > 0 && rc == 0; jobs--)
        rc = hand_out(l, from);
    return rc;
}

static int result(struct lead *l, int from, const char *text)
{
    char *line = NULL;
    const size_t i = strtoull(text + 1, &line, 10);
    if (l->out == 0 || (*text == 'R' && *line != '\n'))
        return -1;
    l->out--;
    l->p->done(i, *text == 'R' ? line + 1 : NULL, l->p->ctx);
    return l->wrong || mscope_pool_stopped(l->p) ? 0 : hand_out(l, from);
}

/* Handles one message, or sleeps. Returns 1 when there was one. */
static int hear(struct lead *l)
{
    char *text;
    int from = 0, rc = l->r->receive(&from, &text);
    const int some = rc > 0;
    if (some)
        switch (*text) {
        case 'H': rc = welcome(l, from, text); break;
        case 'R':
        case 'F': rc = result(l, from, text); break;
        case 'B': l->gone++; break;
        default: rc = -1;
        }
    if (rc < 0 && !l->wrong) {
        l->wrong = 1;
        fprintf(stderr, "momentscope bench: rank %d sent a message that cannot be read\n", from);
    }
    if (some)
        free(text);
    else
        nap();
    return some;
}

int mscope_pool_lead(const mscope_pool *p, const mscope_ranks *r)
{
    struct lead l = { .p = p, .r = r };
    while (!l.wrong && !mscope_pool_stopped(p) && l.gone == 0 && (l.next < p->n || l.out > 0))
        hear(&l);
    const int early = l.wrong || l.gone > 0 || mscope_pool_stopped(p);
    for (int k = 1; k < r->size; k++)
        l.wrong |= r->send(k, "Q") < 0;
    /* Results that arrive now still count. Ranks that were killed never answer, so the wait is short. */
    for (long left = early ? FAREWELL_US : 1; l.gone < r->size - 1 && left > 0;)
        left -= hear(&l) || !early ? 0 : NAP_US;
    if (l.gone == r->size - 1)
        r->leave();
    return l.wrong ? -1 : early ? MSCOPE_POOL_INTERRUPTED : MSCOPE_POOL_DONE;
}

/* ---- the others --------------------------------------------------------------------------------- */

struct serve {
    const mscope_ranks *r;
    int wrong;
};

static void ended(size_t i, const char *text, void *ctx)
{
    struct serve *s = ctx;
    const size_t len = (text != NULL ? strlen(text) : 0) + 32;
    char *message = malloc(len);
    if (message == NULL) {
        s->wrong = 1;
        return;
    }
    if (text != NULL)
        snprintf(message, len, "R %zu\n%s", i, text);
    else
        snprintf(message, len, "F %zu", i);
    s->wrong |= s->r->send(0, message) < 0;
    free(message);
}

/* Handles the messages of rank 0. Returns 1 at Q. */
static int obey(struct serve *s, mscope_crew *crew)
{
    char *text;
    int from, rc;
    while ((rc = s->r->receive(&from, &text)) > 0) {
        const size_t i = strtoull(text + 1, NULL, 10);
        const char what = *text;
        free(text);
        if (what == 'Q')
            return 1;
        if (mscope_crew_start(crew, i) < 0)
            ended(i, NULL, s);
    }
    s->wrong |= rc < 0;
    return 0;
}

int mscope_pool_serve(const mscope_pool *p, const mscope_ranks *r, mscope_crew *crew)
{
    struct serve s = { .r = r };
    char hello[64];
    int quit = 0;
    snprintf(hello, sizeof hello, "H %" PRIx64 " %zu", p->meaning, crew->jobs);
    s.wrong = r->send(0, hello) < 0;
    while (!quit && !s.wrong && !mscope_crew_stopped()) {
        quit = obey(&s, crew);
        if (crew->live == 0)
            nap();
        else
            mscope_crew_wait(crew, crew->live < crew->jobs ? 1 : 50, ended, &s);
    }
    mscope_crew_kill(crew, ended, &s);
    if (s.wrong || r->send(0, "B") < 0)
        return -1;
    r->leave();
    return MSCOPE_POOL_SERVED;
}
