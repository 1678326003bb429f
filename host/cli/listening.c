/* listening.c - see listening.h */
#include "listening.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/exit.h"
#include "protocol/standard.h"

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    stop = sig;
}

int mscope_listening_open(const mscope_listening *l, const char *command, mscope_listen *out)
{
    struct sigaction act, was;
    char why[MSCOPE_WHY_MAX];
    int rc;

    *out = (mscope_listen){ .table = l->table, .stop = &stop, .command = command };
    rc = mscope_feed_open(&out->feed, &l->from, why, sizeof why);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", command, why);
        return rc == MSCOPE_EINVAL ? MSCOPE_EXIT_USAGE : MSCOPE_EXIT_FAILED;
    }
    memset(&act, 0, sizeof act);
    act.sa_handler = on_signal;
    act.sa_flags = SA_RESTART;               /* a signal ends the loop, not a write to a slow terminal; poll returns */
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, NULL, &was);
    if (was.sa_handler != SIG_IGN)           /* nohup */
        sigaction(SIGHUP, &act, NULL);
    signal(SIGPIPE, SIG_IGN);                /* a closed pipe shows as ferror */
    return MSCOPE_OPTIONS_GO_ON;
}

static void say_left(const char *command, const mscope_rec_table *t)
{
    fprintf(stderr, "%s: no trainer holds table %s now: it is judged as of step %" PRIu64 "\n", command, t->table,
            t->step);
}

void mscope_listening_left(const char *command, const mscope_judged *j)
{
    for (size_t i = 0; i < j->latest.tables; i++)
        if (j->latest.table[i].have_table && !j->latest.table[i].table.record.u.table.attached)
            say_left(command, &j->latest.table[i].table.record.u.table);
}

void mscope_listening_leaves(const char *command, const mscope_judged *j, const mscope_telemetry *next)
{
    const mscope_rec_table *t = &next->record.u.table;
    const mscope_latest_table *before;

    if (next->record.kind != MSCOPE_REC_TABLE || t->attached)
        return;
    before = mscope_latest_find(&j->latest, t->table);
    if (before != NULL && before->have_table && before->table.record.u.table.attached)
        say_left(command, t);
}

int mscope_listening_full(const mscope_listening *l, const char *command, const mscope_listen *from, mscope_judged *j)
{
    char why[MSCOPE_WHY_MAX];

    if (mscope_listen_full(from, l->wait_s, j, why, sizeof why) == 0)
        return MSCOPE_EXIT_OK;
    if (why[0] != '\0')
        fprintf(stderr, "%s: %s\n", command, why);
    return MSCOPE_EXIT_FAILED;
}

int mscope_listening_heard(void)
{
    return !ferror(stdout) && !mscope_standard_reader_left();
}

int mscope_listening_nothing(const char *command, const mscope_listen *from, const mscope_judged *j, double waited)
{
    char why[MSCOPE_WHY_MAX];

    mscope_listen_lacking(from, j, waited, why, sizeof why);
    fprintf(stderr, "%s: %s\n", command, why);
    return MSCOPE_EXIT_FAILED;
}
