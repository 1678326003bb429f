/* attach.c - the public calls that carry no step: open, attach, resync, reference, poll, flush, close
 *
 * There is no thread here but libzmq's. Only poll, flush and close wait, for as long as they were told. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "fork.h"
#include "gather.h"
#include "heal.h"
#include "link.h"
#include "protocol/refusal.h"
#include "reading.h"
#include "state.h"

#define BUFFER_BYTES (64ull << 20)
#define SYNC_BYTES (1ull << 20)
#define LAST_HELLO_MS 100                /* close: time for the answer to a HELLO, and for BYE behind it */

/* -- opening ---------------------------------------------------------------------------------------- */

static uint64_t draw_session(void)
{
    uint64_t s = 0;

    while (s == 0)
        if (getrandom(&s, sizeof s, GRND_NONBLOCK) != (ssize_t)sizeof s)
            s = mscope_client_now_ns() * 0x9E3779B97F4A7C15ull ^ (uint64_t)getpid() << 32;
    return s;
}

int mscope_client_open(mscope_client **out, const mscope_client_options *opt)
{
    static const mscope_client_options defaults;
    mscope_endpoint endpoint;
    int rc, transport;

    if (out == NULL)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "out", "an address for the client",
                                  "nothing was given", "%s", "NULL");
    if (opt == NULL)
        opt = &defaults;
    if ((rc = mscope_check_options(opt)) != 0 ||
        (rc = mscope_endpoint_choose(&endpoint, "ingest", opt->endpoint, "endpoint")) != 0 ||
        (rc = mscope_shm_choose(&transport, opt->transport, endpoint.address)) != 0)
        return rc;
    mscope_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return mscope_why_memory("client");
    if (opt->name != NULL)
        snprintf(c->name, sizeof c->name, "%s", opt->name);
    else
        snprintf(c->name, sizeof c->name, "%.100s pid %ld", program_invocation_short_name, (long)getpid());
    c->queue.session = draw_session();
    c->queue.limit = opt->buffer_bytes ? opt->buffer_bytes : BUFFER_BYTES;
    c->sync_bytes = opt->sync_bytes ? opt->sync_bytes : SYNC_BYTES;
    if (c->sync_bytes > mscope_queue_half(&c->queue))
        c->sync_bytes = mscope_queue_half(&c->queue);
    c->sync_timed = opt->sync_bytes == 0;
    c->block_ms = opt->block_ms;
    c->quiet = opt->quiet;
    c->pid = getpid();
    c->endpoint = endpoint;
    c->opened_at = mscope_client_now_ns();
    c->queue.next_seq = 1;
    mscope_shm_init(&c->shm, transport);
    rc = mscope_link_open(c);
    if (rc != 0) {
        free(c);
        return rc;
    }
    mscope_fork_watch(c);
    *out = c;
    return 0;
}

int mscope_client_attach(mscope_client *c, const mscope_attach_info *in)
{
    int rc = mscope_check_client(c);

    if (rc != 0 || (rc = mscope_check_info(c, in)) != 0)
        return rc;
    mscope_client_table *grown = c->tables < INT32_MAX ? realloc(c->table, (c->tables + 1) * sizeof *grown) : NULL;
    if (grown == NULL)
        return mscope_why_memory("table");
    c->table = grown;
    mscope_client_table *t = &c->table[c->tables];
    memset(t, 0, sizeof *t);
    t->info = *in;
    snprintf(t->name, sizeof t->name, "%s", in->table);
    snprintf(t->reference, sizeof t->reference, "%s", in->reference != NULL ? in->reference : "");
    snprintf(t->optimizer, sizeof t->optimizer, "%s", in->optimizer != NULL ? in->optimizer : "");
    t->info.table = t->info.reference = t->info.optimizer = NULL;    /* the caller's; the copies are above */
    t->step = t->queued = in->step;
    t->inexact = 1;
    t->hello_wait = 100 * MSCOPE_CLIENT_MS;
    c->established = 0;
    c->tables++;
    if (c->shm.mode == MSCOPE_TRANSPORT_SHM)
        mscope_shm_fit(c);                           /* steps wait there until the daemon has mapped it */
    c->tables--;
    mscope_link_pump(c);
    return (int)c->tables++;
}

/* -- messages without a body ------------------------------------------------------------------------- */

static int bare(mscope_client *c, uint8_t kind)
{
    mscope_message *f = mscope_message_new(kind);
    mscope_header h = { 0 };

    if (f == NULL)
        return 1;
    if (mscope_queue_push(&c->queue, f, &h) != 0) {  /* a full buffer keeps out steps, not these 64 bytes */
        mscope_message_free(f);
        return 1;
    }
    mscope_link_pump(c);
    return 0;
}

int mscope_client_save(mscope_client *c)
{
    int rc = mscope_check_client(c);

    return rc != 0 ? rc : bare(c, MSCOPE_SAVE);
}

/* -- rows and reference of a table ------------------------------------------------------------------ */

int mscope_client_resync(mscope_client *c, int table)
{
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    if (!mscope_heal_able(&c->table[table]))
        return mscope_refusal_set(mscope_why(), MSCOPE_ENOTSUP, "theta, m, read", "given at attach",
                                  "without them rows cannot be sent again", "%s", "NULL");
    mscope_heal_forgive(&c->table[table]);
    mscope_heal_start(&c->table[table]);
    return 0;
}

int mscope_client_reference(mscope_client *c, int table, uint32_t first, uint32_t n, const void *ref,
                            enum mscope_value value_type)
{
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    mscope_client_table *t = &c->table[table];
    if ((rc = mscope_check_values(t, value_type)) != 0)
        return rc;
    if (ref == NULL || t->reference[0] == '\0')
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, ref == NULL ? "ref" : "reference",
                                  "values, and a reference announced at attach",
                                  "attach announced none", "%s",
                                  ref == NULL ? "NULL" : "none");
    if (n == 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "n", "1 or more", "rows of the reference", "%d", 0);
    if (first >= t->info.rows || n > t->info.rows - first)
        return mscope_why_row(t, (int64_t)first + n - 1);
    const size_t row_bytes = mscope_row_bytes(t, value_type);
    const uint32_t chunk = (uint32_t)(c->sync_bytes / row_bytes);
    for (uint32_t done = 0, k; done < n; done += k) {
        k = n - done < chunk ? n - done : chunk > 0 ? chunk : 1;
        const char *p = (const char *)ref + (size_t)done * row_bytes;
        if (mscope_heal_keep(t, MSCOPE_REFERENCE, first + done, k, p, k * row_bytes, (uint8_t)value_type) != 0)
            return mscope_why_memory("reference");
    }
    mscope_link_pump(c);
    mscope_heal_some(c, (uint32_t)table, 0);
    return 0;
}

int mscope_client_labels(mscope_client *c, int table, uint32_t first, uint32_t n, const char *text, size_t len)
{
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    mscope_client_table *t = &c->table[table];
    if (text == NULL || n == 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, text == NULL ? "text" : "n", "1 label or more",
                                  "labels of rows", "%s", text == NULL ? "NULL" : "0");
    if (first >= t->info.rows || n > t->info.rows - first)
        return mscope_why_row(t, (int64_t)first + n - 1);
    if ((rc = mscope_labels_check(text, len, n, mscope_why())) != 0)
        return rc == MSCOPE_EPROTO ? MSCOPE_EINVAL : rc;
    if (len > mscope_queue_half(&c->queue))
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "text", "bytes that fit half of the buffer",
                                  "give fewer labels at a time, or a larger buffer_bytes", "%zu bytes", len);
    if (mscope_heal_keep(t, MSCOPE_LABELS, first, n, text, len, 0) != 0)
        return mscope_why_memory("labels");
    mscope_link_pump(c);
    mscope_heal_some(c, (uint32_t)table, 0);
    return 0;
}

/* -- time to spare ---------------------------------------------------------------------------------- */

static void heal_all(mscope_client *c, int may_seek)
{
    for (size_t i = 0; i < c->tables; i++)
        if (c->table[i].syncing || c->table[i].ref_next < c->table[i].nrefs)
            mscope_heal_some(c, (uint32_t)i, may_seek);
}

int mscope_client_poll(mscope_client *c, int wait_ms)
{
    if (mscope_check_client(c) != 0)
        return MSCOPE_EINVAL;
    mscope_link_pump(c);
    if (wait_ms > 0) {
        mscope_link_wait(c, wait_ms);
        mscope_link_pump(c);
    }
    heal_all(c, 0);
    mscope_link_pump(c);
    return 0;
}

/* Everything is acknowledged, and nothing is left that this client could still heal. */
static int settled(const mscope_client *c)
{
    int done = c->established && c->queue.len == 0;

    for (size_t i = 0; done && i < c->tables; i++)
        done = c->table[i].welcomed && (mscope_heal_exact(c, &c->table[i]) || !mscope_heal_able(&c->table[i])) &&
               c->table[i].ref_next == c->table[i].nrefs;
    return done;
}

int mscope_client_flush(mscope_client *c, int wait_ms)
{
    uint64_t until = mscope_client_until_ns(wait_ms);

    if (mscope_check_client(c) != 0)
        return MSCOPE_EINVAL;
    for (;;) {
        mscope_link_pump(c);
        heal_all(c, 1);
        mscope_link_pump(c);
        if (settled(c))
            break;
        uint64_t now = mscope_client_now_ns();
        if (now >= until)
            return MSCOPE_EAGAIN;
        uint64_t left = (until - now) / MSCOPE_CLIENT_MS + 1;
        mscope_link_wait(c, left < 20 ? (int)left : 20);
    }
    for (size_t i = 0; i < c->tables; i++)
        if (!mscope_heal_exact(c, &c->table[i]))
            return MSCOPE_EAGAIN;
    return 0;
}

void mscope_client_stats_get(const mscope_client *c, mscope_client_stats *out)
{
    *out = c->stats;
    out->messages_unacked = c->queue.len;
    out->bytes_unacked = c->queue.bytes;
    out->connected = c->up && c->established;
    out->exact = 1;
    out->shm = c->shm.state == MSCOPE_SHM_UP;
    for (size_t i = 0; i < c->tables; i++) {
        out->connected &= c->table[i].welcomed;
        out->exact &= mscope_heal_exact(c, &c->table[i]);
    }
}

static const char *not_taken(const mscope_client *c)
{
    for (size_t i = 0; i < c->tables; i++)
        if (c->table[i].asking || c->table[i].refused)
            return c->table[i].name;
    return NULL;
}

/* Steps that no daemon has acknowledged. Why decides what would have helped: a longer wait only where one answers. */
static void tell_left(const mscope_client *c)
{
    const char *table = not_taken(c);
    size_t steps = 0;

    for (size_t i = 0; i < c->queue.len; i++)
        steps += mscope_queue_at(&c->queue, i)->kind == MSCOPE_STEP;
    if (steps == 0 || c->quiet)
        return;
    if (c->stats.epoch == 0 && c->guard.why[0] != '\0')
        fprintf(stderr, "momentscope: nothing was sent to the daemon at %s, as told above; the last %zu steps are "
                "lost\n", c->endpoint.address, steps);
    else if (c->stats.epoch == 0 && c->stats.errors == 0)
        fprintf(stderr, "momentscope: no daemon has answered at %s; the last %zu steps are lost. Start momentscoped "
                "before the trainer ends, or set MOMENTSCOPE_INGEST or endpoint to its address\n", c->endpoint.address,
                steps);
    else if (table != NULL)
        fprintf(stderr, "momentscope: closed while the daemon at %s refused table %s, as told above; the last %zu "
                "steps are lost\n", c->endpoint.address, table, steps);
    else
        fprintf(stderr, "momentscope: closed before the daemon at %s acknowledged the last %zu steps; "
                "they may be lost. A longer wait in close may save them\n", c->endpoint.address, steps);
}

void mscope_client_close(mscope_client *c, int wait_ms)
{
    if (mscope_check_client(c) != 0)
        return;                                      /* a forked child leaves everything to its parent */
    const uint64_t now = mscope_client_now_ns(), until = mscope_client_until_ns(wait_ms);
    const uint64_t left = until > now ? until - now : 0, margin = LAST_HELLO_MS * MSCOPE_CLIENT_MS;
    /* A HELLO that is answered when this client is gone would hold the name, without a BYE. */
    c->hello_until = until - (left / 2 < margin ? left / 2 : margin);
    if (c->shm.mode != MSCOPE_TRANSPORT_SHM && c->shm.state != MSCOPE_SHM_UP)
        mscope_shm_down(&c->shm, UINT64_MAX);      /* it is too late for a ring: no offer any more */
    if (bare(c, MSCOPE_BYE) == 0)
        while (c->queue.len > 0 && mscope_client_now_ns() < until) {
            mscope_link_wait(c, 5);
            mscope_link_pump(c);
        }
    mscope_fork_forget(c);
    mscope_link_close(c);
    tell_left(c);
    mscope_message_free(c->slot);
    for (size_t i = 0; i < c->tables; i++) {
        mscope_heal_forget(&c->table[i]);
        mscope_tally_forget(&c->table[i]);
        mscope_reading_forget(&c->table[i]);
    }
    mscope_queue_fini(&c->queue);
    mscope_shm_fini(&c->shm);
    free(c->table);
    free(c);
}
