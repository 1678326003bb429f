/* listen.c - a full set of records from a running daemon, or the reason why there is none */
#include "listen.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

#define QUIET_S 0.3                  /* the latest records of all topics follow one another at once */

double mscope_listen_now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int mscope_listen_wants(const mscope_listen *l, const mscope_telemetry *m)
{
    const char *name = NULL;

    switch (m->record.kind) {
    case MSCOPE_REC_BAND: name = m->record.u.band.table; break;
    case MSCOPE_REC_TABLE: name = m->record.u.table.table; break;
    case MSCOPE_REC_ACF: name = m->record.u.acf.table; break;
    case MSCOPE_REC_ALERT: name = m->record.u.alert.table; break;
    case MSCOPE_REC_DAEMON: break;
    }
    return l->table == NULL || name == NULL || strcmp(name, l->table) == 0 ||
           (m->record.kind == MSCOPE_REC_ALERT && name[0] == '\0');
}

int mscope_listen_nothing(const mscope_listen *l, const mscope_view *v, double waited)
{
    char where[256], why[400];

    if (mscope_feed_lacks(v->feed, l->table, why, sizeof why)) {
        fprintf(stderr, "momentscope %s: no full set of records within %.3g s: %s\n", l->command, waited, why);
        return MSCOPE_EXIT_FAILED;
    }
    if (mscope_feed_shards(v->feed) > 0)
        snprintf(where, sizeof where, "each of the %zu shards", mscope_feed_shards(v->feed));
    else if (l->telemetry != NULL)
        snprintf(where, sizeof where, "%s", l->telemetry);
    else if (mscope_default_endpoint("telemetry", where, sizeof where) != 0)
        snprintf(where, sizeof where, "the default endpoint");
    if (v->tables > 0)
        fprintf(stderr, "momentscope %s: no full set of records from %s within %.3g s: no row of the table has moved yet\n",
                l->command, where, waited);
    else if (v->have_daemon)
        fprintf(stderr, "momentscope %s: the daemon at %s has no table%s%s within %.3g s\n", l->command, where,
                l->table != NULL ? " " : "", l->table != NULL ? l->table : "", waited);
    else
        fprintf(stderr, "momentscope %s: nothing came from %s within %.3g s: is momentscoped running?\n", l->command, where,
                waited);
    return MSCOPE_EXIT_FAILED;
}

/* A late joiner is given the latest record of every topic: a full set, then a moment of silence. */
int mscope_listen_full(const mscope_listen *l, mscope_feed *s, double wait_s, mscope_view *v)
{
    double start = mscope_listen_now_s(), complete = 0;
    char why[400];
    mscope_telemetry m;

    v->feed = s;
    while (l->stop == NULL || !*l->stop) {
        if (mscope_feed_next(s, &m, 50) == 0 && mscope_listen_wants(l, &m) && mscope_view_take(v, &m) != 0)
            return MSCOPE_EXIT_FAILED;
        if (!mscope_view_complete(v) || mscope_feed_lacks(s, l->table, why, sizeof why))
            complete = 0;
        else if (complete == 0)
            complete = mscope_listen_now_s();
        if (complete != 0 && mscope_listen_now_s() - complete > QUIET_S)
            return MSCOPE_EXIT_OK;
        if (complete == 0 && mscope_listen_now_s() - start > wait_s)
            return mscope_listen_nothing(l, v, wait_s);
    }
    return MSCOPE_EXIT_FAILED;
}
