/* listen.c - see listen.h */
#include "listen.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define QUIET_S 0.3                  /* the latest records of all topics follow one another at once */

int mscope_listen_wants(const char *table, const mscope_telemetry *m)
{
    const char *name = NULL;

    switch (m->record.kind) {
    case MSCOPE_REC_BAND: name = m->record.u.band.table; break;
    case MSCOPE_REC_TABLE: name = m->record.u.table.table; break;
    case MSCOPE_REC_ACF: name = m->record.u.acf.table; break;
    case MSCOPE_REC_STABILITY: break;    /* it covers other tables too */
    case MSCOPE_REC_ALERT: name = m->record.u.alert.table; break;
    case MSCOPE_REC_DAEMON: break;
    }
    return table == NULL || name == NULL || strcmp(name, table) == 0 ||
           (m->record.kind == MSCOPE_REC_ALERT && name[0] == '\0');
}

static int next(const mscope_listen *l, mscope_telemetry *out, int wait_ms)
{
    int rc = mscope_feed_next(l->feed, out, wait_ms);

    if (rc == 0 && mscope_listen_wants(l->table, out))
        return 0;
    /* The subscriber counts malformed records; they are passed over here. */
    return rc == MSCOPE_ENOMEM || rc == MSCOPE_EIO ? rc : MSCOPE_EAGAIN;
}

int mscope_listen_next(const mscope_listen *l, mscope_telemetry *out, int wait_ms)
{
    int rc = next(l, out, wait_ms);

    if (rc == MSCOPE_EIO && l->command != NULL)
        fprintf(stderr, "%s: nothing is heard: %s\n", l->command, mscope_feed_trouble(l->feed));
    return rc == MSCOPE_EIO ? MSCOPE_EAGAIN : rc;
}

void mscope_listen_lacking(const mscope_listen *l, const mscope_judged *j, double waited, char *why, size_t cap)
{
    mscope_coverage c;
    char where[256];

    mscope_feed_coverage(l->feed, l->table, &c);
    mscope_feed_where(l->feed, where, sizeof where);
    if (c.missing[0] != '\0')
        (void)snprintf(why, cap, "no full set of records within %.3g s: %s", waited, c.missing);
    else if (j->latest.tables > 0)
        (void)snprintf(why, cap, "no full set of records from %s within %.3g s: no row of the table has moved yet",
                       where, waited);
    else if (j->latest.have_daemon && c.shards > 0)
        (void)snprintf(why, cap, "%s has no table%s%s within %.3g s", where, l->table != NULL ? " " : "",
                       l->table != NULL ? l->table : "", waited);
    else if (j->latest.have_daemon)
        (void)snprintf(why, cap, "the daemon at %s has no table%s%s within %.3g s", where, l->table != NULL ? " " : "",
                       l->table != NULL ? l->table : "", waited);
    else if (mscope_feed_trouble(l->feed)[0] != '\0')
        (void)snprintf(why, cap, "nothing came from %s within %.3g s: %s", where, waited, mscope_feed_trouble(l->feed));
    else
        (void)snprintf(why, cap, "nothing came from %s within %.3g s: is momentscoped running?", where, waited);
}

/* A complete set is not full while a shard is missing. */
static int is_full(const mscope_listen *l, const mscope_judged *j)
{
    mscope_coverage c;

    if (!mscope_latest_complete(&j->latest))
        return 0;
    mscope_feed_coverage(l->feed, l->table, &c);
    return c.missing[0] == '\0';
}

int mscope_listen_full(const mscope_listen *l, double wait_s, mscope_judged *j, char *why, size_t cap)
{
    const double start = mscope_monotonic_s();
    double full_since = 0;
    mscope_telemetry m;

    why[0] = '\0';
    while (l->stop == NULL || !*l->stop) {
        int rc = next(l, &m, 50);
        if (rc == 0)
            rc = mscope_judged_take(j, &m, NULL, NULL);
        if (rc != 0 && rc != MSCOPE_EAGAIN) {
            (void)snprintf(why, cap, "%s", rc == MSCOPE_EIO ? mscope_feed_trouble(l->feed) : mscope_strerror(rc));
            return rc;
        }
        const double now = mscope_monotonic_s();
        if (!is_full(l, j))
            full_since = 0;
        else if (full_since == 0)
            full_since = now;
        if (full_since != 0 && now - full_since > QUIET_S)
            return 0;
        if (full_since == 0 && now - start > wait_s) {
            mscope_listen_lacking(l, j, wait_s, why, cap);
            return MSCOPE_EAGAIN;
        }
    }
    return MSCOPE_EAGAIN;
}
