/* feed.c - see feed.h: one subscriber passed through, or the shards */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sharded.h"

struct mscope_feed {
    mscope_feed_options o;
    mscope_subscriber *one;          /* exactly one of the two is not NULL */
    mscope_sharded *many;
    char trouble[MSCOPE_WHY_MAX];
};

/* The refusal of the client library; its field is the name of an option or of an environment variable. */
static void refused(char *why, size_t cap)
{
    mscope_refusal r;

    mscope_client_fault(&r);
    (void)snprintf(why, cap, "%s%s is '%s', expected %s: %s", r.field[0] >= 'a' && r.field[0] <= 'z' ? "--" : "",
                   r.field, r.value, r.range, r.text);
}

int mscope_feed_open(mscope_feed **out, const mscope_feed_options *o, char *why, size_t cap)
{
    mscope_feed *f;
    int rc;

    *out = NULL;
    (void)snprintf(why, cap, "--shard goes without --telemetry and --replay");
    if (o->shard.n > 0 && (o->telemetry != NULL || o->replay != NULL))
        return MSCOPE_EINVAL;
    f = calloc(1, sizeof *f);
    (void)snprintf(why, cap, "out of memory");
    if (f == NULL)
        return MSCOPE_ENOMEM;
    f->o = *o;
    if (o->shard.n > 0) {
        rc = mscope_sharded_open(&f->many, &f->o.shard, why, cap);
    } else {
        rc = mscope_subscribe(&f->one, o->telemetry, o->replay, "");
        if (rc != 0)
            refused(why, cap);
        else if (f->o.past)
            mscope_subscriber_past(f->one);
    }
    if (rc != 0) {
        free(f);
        return rc;
    }
    *out = f;
    return 0;
}

void mscope_feed_close(mscope_feed *f)
{
    if (f == NULL)
        return;
    mscope_subscriber_close(f->one);
    mscope_sharded_close(f->many);
    free(f);
}

int mscope_feed_next(mscope_feed *f, mscope_telemetry *out, int wait_ms)
{
    int rc = f->one != NULL ? mscope_subscriber_next(f->one, out, wait_ms) : mscope_sharded_next(f->many, out, wait_ms);
    mscope_refusal r;

    if (rc == 0)
        f->trouble[0] = '\0';
    if (rc != MSCOPE_EIO)
        return rc;
    mscope_client_fault(&r);
    if (strcmp(f->trouble, r.text) == 0)
        return MSCOPE_EAGAIN;                /* it was told, and is so still */
    (void)snprintf(f->trouble, sizeof f->trouble, "%s", r.text);
    return rc;
}

const char *mscope_feed_trouble(const mscope_feed *f)
{
    return f->trouble;
}

void mscope_feed_stats(const mscope_feed *f, mscope_subscriber_stats *out)
{
    memset(out, 0, sizeof *out);
    if (f->one != NULL)
        mscope_subscriber_stats_get(f->one, out);
    else
        mscope_sharded_stats(f->many, out);
}

void mscope_feed_coverage(const mscope_feed *f, const char *table, mscope_coverage *out)
{
    *out = (mscope_coverage){ .shards = 0 };
    if (f->many == NULL)
        return;
    out->shards = mscope_sharded_count(f->many);
    (void)mscope_sharded_lacks(f->many, table, out->missing, sizeof out->missing);
    if (table != NULL)
        out->skew = mscope_sharded_skew(f->many, table, &out->step);
}

mscope_coverage *mscope_feed_coverages(const mscope_feed *f, const mscope_latest *l)
{
    mscope_coverage *all = f->many != NULL && l->tables > 0 ? calloc(l->tables, sizeof *all) : NULL;

    for (size_t i = 0; all != NULL && i < l->tables; i++)
        mscope_feed_coverage(f, l->table[i].name, &all[i]);
    return all;
}

void mscope_feed_where(const mscope_feed *f, char *where, size_t cap)
{
    if (f->many != NULL)
        (void)snprintf(where, cap, "each of the %zu shards", mscope_sharded_count(f->many));
    else if (f->o.telemetry != NULL)
        (void)snprintf(where, cap, "%s", f->o.telemetry);
    else if (mscope_default_endpoint("telemetry", where, cap) != 0)
        (void)snprintf(where, cap, "the default endpoint");
}
