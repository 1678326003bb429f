/* attach.c - the trainer's side of the wire: open, attach, push, probe, flush, close
 *
 * Each call has its arguments checked (check.c), builds one frame (one copy of the gradients), queues it and pumps the
 * socket. There is no thread here beyond libzmq's own; nothing waits except poll, flush, close and block_ms. */
#include "private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>
#include <unistd.h>

#include "fields.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "gradients go out as they lie in memory, little-endian");

#define BUFFER_BYTES (64ull << 20)
#define SYNC_BYTES (1ull << 20)
#define MS ((uint64_t)1000000)

/* -- opening ---------------------------------------------------------------------------------------- */

static uint64_t draw_session(void)
{
    uint64_t s = 0;

    while (s == 0)
        if (getrandom(&s, sizeof s, GRND_NONBLOCK) != (ssize_t)sizeof s)
            s = mscope_now_ns() * 0x9E3779B97F4A7C15ull ^ (uint64_t)getpid() << 32;
    return s;
}

int mscope_client_open(mscope_client **out, const mscope_client_options *opt)
{
    static const mscope_client_options defaults;
    mscope_endpoint endpoint;
    int rc;

    if (out == NULL)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "out", "where to put the client", "nothing was given",
                                  "%s", "NULL");
    if (opt == NULL)
        opt = &defaults;
    if ((rc = mscope_check_options(opt)) != 0 ||
        (rc = mscope_endpoint_choose(&endpoint, "ingest", opt->endpoint, "endpoint")) != 0)
        return rc;
    mscope_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return mscope_why_memory("client");
    if (opt->name != NULL)
        snprintf(c->name, sizeof c->name, "%s", opt->name);
    else
        snprintf(c->name, sizeof c->name, "%.100s pid %ld", program_invocation_short_name, (long)getpid());
    c->session = draw_session();
    c->buffer_bytes = opt->buffer_bytes ? opt->buffer_bytes : BUFFER_BYTES;
    c->sync_bytes = opt->sync_bytes ? opt->sync_bytes : SYNC_BYTES;
    c->block_ms = opt->block_ms;
    c->quiet = opt->quiet;
    c->pid = getpid();
    c->endpoint = endpoint;
    c->opened_at = mscope_now_ns();
    c->queue.next_seq = 1;
    rc = mscope_link_open(c);
    if (rc != 0) {
        free(c);
        return rc;
    }
    *out = c;
    return 0;
}

int mscope_client_attach(mscope_client *c, const mscope_attach_info *in)
{
    int rc = mscope_check_client(c);

    if (rc != 0 || (rc = mscope_check_info(c, in)) != 0)
        return rc;
    mscope_ctable *grown = c->tables < INT32_MAX ? realloc(c->table, (c->tables + 1) * sizeof *grown) : NULL;
    if (grown == NULL)
        return mscope_why_memory("table");
    c->table = grown;
    mscope_ctable *t = &c->table[c->tables];
    memset(t, 0, sizeof *t);
    t->info = *in;
    snprintf(t->name, sizeof t->name, "%s", in->table);
    snprintf(t->reference, sizeof t->reference, "%s", in->reference != NULL ? in->reference : "");
    t->info.table = t->info.reference = NULL;        /* the strings were the caller's; the copies are above */
    t->step = t->queued = in->step;
    t->inexact = 1;
    t->hello_wait = 100 * MS;
    c->established = 0;
    mscope_link_pump(c);
    return (int)c->tables++;
}

/* -- frames ----------------------------------------------------------------------------------------- */

int mscope_enqueue(mscope_client *c, mscope_frame *f, mscope_header *h)
{
    h->session = c->session;
    if (c->queue.bytes + mscope_frame_held(f) > c->buffer_bytes || mscope_queue_push(&c->queue, f, h) != 0) {
        mscope_frame_free(f);
        return 1;
    }
    return 0;
}

/* With block_ms the trainer asked to be slowed down rather than lose steps. */
static void wait_for_room(mscope_client *c, uint64_t bytes)
{
    uint64_t until = mscope_now_ns() + (uint64_t)c->block_ms * MS;

    while (c->queue.bytes + bytes > c->buffer_bytes && mscope_now_ns() < until) {
        mscope_link_wait(c, 1);
        mscope_link_pump(c);
    }
}

static int drop_step(mscope_client *c, mscope_ctable *t, int rc)
{
    t->step++;
    c->stats.steps_dropped++;
    mscope_heal_start(t);                            /* a running SYNC no longer covers what it has sent */
    mscope_link_pump(c);
    return rc;
}

/* Such a step is dropped whenever it comes, however fast the daemon is. */
static void tell_too_large(mscope_client *c, uint64_t bytes)
{
    char range[64];
    mscope_refusal why;

    snprintf(range, sizeof range, "at least %llu for this step", (unsigned long long)bytes);
    mscope_refusal_set(&why, MSCOPE_ENOMEM, "buffer_bytes", range, "a step larger than the buffer is dropped", "%llu",
                       (unsigned long long)c->buffer_bytes);
    mscope_link_note(c, "cannot send with", &why);
}

/* What the three forms of push have in common: `fill` writes count indices and values. */
struct gradient {
    const uint32_t *rows32;
    const int64_t *rows64;
    const uint8_t *mask;
    const void *values;
    unsigned value_type;
    const uint32_t *counts;
    size_t n;
};

static int fill_rows(uint32_t *out, const struct gradient *g, const mscope_ctable *t)
{
    const uint32_t rows = t->info.rows;

    if (g->rows32 != NULL) {
        for (size_t i = 0; i < g->n; i++)
            if ((out[i] = g->rows32[i]) >= rows)
                return mscope_why_row(t, g->rows32[i]);
    } else if (g->rows64 != NULL) {
        for (size_t i = 0; i < g->n; i++) {
            if ((uint64_t)g->rows64[i] >= rows)
                return mscope_why_row(t, g->rows64[i]);
            out[i] = (uint32_t)g->rows64[i];
        }
    } else {
        for (uint32_t i = 0, k = 0; i < rows; i++)
            if (g->mask == NULL || g->mask[i])
                out[k++] = i;
    }
    return 0;
}

static void fill_values(char *out, const struct gradient *g, uint32_t rows, size_t row_bytes)
{
    const char *in = g->values;

    if (g->mask == NULL) {
        memcpy(out, in, g->n * row_bytes);
        return;
    }
    for (uint32_t i = 0; i < rows; i++) {
        if (g->mask[i]) {
            memcpy(out, in + i * row_bytes, row_bytes);
            out += row_bytes;
        }
    }
}

/* Index and value bodies; *rc tells memory from a bad index. */
static mscope_frame *gradient_frame(const mscope_ctable *t, uint8_t kind, const struct gradient *g, int *rc)
{
    size_t row = t->info.dim * mscope_value_size(g->value_type);
    mscope_frame *f = mscope_frame_new(kind);
    void *p = f;

    *rc = 0;
    if (p != NULL && g->n > 0) {
        if ((p = mscope_frame_body(f, g->n * sizeof(uint32_t))) != NULL)
            *rc = fill_rows(p, g, t);
        if (p != NULL && *rc == 0 && (p = mscope_frame_body(f, g->n * row)) != NULL)
            fill_values(p, g, t->info.rows, row);
    }
    if (p == NULL)
        *rc = MSCOPE_ENOMEM;
    if (*rc == 0)
        return f;
    mscope_frame_free(f);
    return NULL;
}

static int add_counts_and_schedule(mscope_frame *f, mscope_header *h, const mscope_step *step, const struct gradient *g)
{
    const double schedule[3] = { step->weight_decay, step->decoupled_decay, step->dampening };

    if (g->counts != NULL && g->n > 0) {
        void *p = mscope_frame_body(f, g->n * sizeof *g->counts);
        if (p == NULL)
            return MSCOPE_ENOMEM;
        memcpy(p, g->counts, g->n * sizeof *g->counts);
        h->flags |= MSCOPE_FLAG_COUNTS;
    }
    if (schedule[0] != 0 || schedule[1] != 0 || schedule[2] != 0) {
        void *p = mscope_frame_body(f, sizeof schedule);
        if (p == NULL)
            return MSCOPE_ENOMEM;
        memcpy(p, schedule, sizeof schedule);
        h->flags |= MSCOPE_FLAG_SCHEDULE;
    }
    return 0;
}

static int push(mscope_client *c, int table, const mscope_step *step, const struct gradient *g)
{
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    mscope_ctable *t = &c->table[table];
    if ((rc = mscope_check_step(t, step)) != 0 ||
        (rc = mscope_check_gradient(t, g->values, g->value_type, g->counts, g->n)) != 0)
        return drop_step(c, t, rc);

    uint64_t bytes = sizeof(mscope_frame) + MSCOPE_HEADER_LEN + 24 +
                     g->n * (2 * sizeof(uint32_t) + t->info.dim * mscope_value_size(g->value_type));
    if (c->block_ms > 0)
        wait_for_room(c, bytes);
    if (c->queue.bytes + bytes > c->buffer_bytes)
        mscope_link_pump(c);                         /* answers may have made room */
    if (bytes > c->buffer_bytes)
        tell_too_large(c, bytes);
    if (c->queue.bytes + bytes > c->buffer_bytes)
        return drop_step(c, t, 1);

    mscope_frame *f = gradient_frame(t, MSCOPE_STEP, g, &rc);
    if (rc != 0)
        return drop_step(c, t, rc == MSCOPE_ENOMEM ? 1 : rc);
    mscope_header h = { .step = t->step + 1, .a = step->eta, .b = step->eps, .table = (uint32_t)table,
                        .count = (uint32_t)g->n, .extra = (uint32_t)lround(step->batch),
                        .index_type = g->n > 0 ? MSCOPE_U32 : 0, .value_type = (uint8_t)(g->n > 0 ? g->value_type : 0) };
    if (add_counts_and_schedule(f, &h, step, g) != 0) {
        mscope_frame_free(f);
        return drop_step(c, t, 1);
    }
    if (mscope_enqueue(c, f, &h) != 0)
        return drop_step(c, t, 1);
    t->queued = ++t->step;
    c->stats.steps_sent++;
    mscope_link_pump(c);
    if (t->syncing || t->ref_next < t->nrefs) {
        mscope_heal_some(c, (uint32_t)table, 0);
        mscope_link_pump(c);
    }
    return 0;
}

/* -- the public forms ------------------------------------------------------------------------------- */

int mscope_client_push(mscope_client *c, int table, const mscope_step *step, const uint32_t *rows, const void *grads,
                       enum mscope_value value_type, const uint32_t *counts, size_t n)
{
    const struct gradient g = { .rows32 = rows, .values = rows != NULL ? grads : NULL, .value_type = value_type,
                                .counts = counts, .n = n };
    return push(c, table, step, &g);
}

int mscope_client_push64(mscope_client *c, int table, const mscope_step *step, const int64_t *rows, const void *grads,
                         enum mscope_value value_type, const uint32_t *counts, size_t n)
{
    const struct gradient g = { .rows64 = rows, .values = rows != NULL ? grads : NULL, .value_type = value_type,
                                .counts = counts, .n = n };
    return push(c, table, step, &g);
}

int mscope_client_push_dense(mscope_client *c, int table, const mscope_step *step, const void *grads,
                             enum mscope_value value_type, const uint8_t *mask)
{
    struct gradient g = { .mask = mask, .values = grads, .value_type = value_type };

    int rc = mscope_check_table(c, table);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < c->table[table].info.rows; i++)
        g.n += mask == NULL || mask[i];
    return push(c, table, step, &g);
}

int mscope_client_skip(mscope_client *c, int table)
{
    int rc = mscope_check_table(c, table);

    return rc != 0 ? rc : drop_step(c, &c->table[table], 1);
}

int mscope_client_resync(mscope_client *c, int table)
{
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    if (!mscope_heal_able(&c->table[table]))
        return mscope_refusal_set(mscope_why(), MSCOPE_ENOTSUP, "theta, m, read", "given at attach",
                                  "rows cannot be sent again without them", "%s", "NULL");
    mscope_heal_forgive(&c->table[table]);
    mscope_heal_start(&c->table[table]);
    return 0;
}

int mscope_client_probe(mscope_client *c, int table, double delta, const int64_t *rows, const void *hm,
                        enum mscope_value value_type, size_t n)
{
    const struct gradient g = { .rows64 = rows, .values = rows != NULL ? hm : NULL, .value_type = value_type, .n = n };
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    if (!isfinite(delta) || delta <= 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "delta", "finite, above 0", "the length of the probe", "%g",
                                  delta);
    mscope_ctable *t = &c->table[table];
    if ((rc = mscope_check_gradient(t, g.values, g.value_type, NULL, n)) != 0)
        return rc;
    if (t->queued != t->step || n == 0)
        return 1;                                    /* behind a hole the daemon could not place it */
    mscope_frame *f = gradient_frame(t, MSCOPE_PROBE, &g, &rc);
    if (f == NULL)
        return rc == MSCOPE_ENOMEM ? 1 : rc;
    mscope_header h = { .step = t->step + 1, .a = delta, .table = (uint32_t)table, .count = (uint32_t)n,
                        .index_type = MSCOPE_U32, .value_type = (uint8_t)value_type };
    rc = mscope_enqueue(c, f, &h);
    mscope_link_pump(c);
    return rc;
}

int mscope_client_reference(mscope_client *c, int table, uint32_t first, uint32_t n, const void *ref,
                            enum mscope_value value_type)
{
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    mscope_ctable *t = &c->table[table];
    if ((rc = mscope_check_values(t, value_type)) != 0)
        return rc;
    if (ref == NULL || t->reference[0] == '\0')
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, ref == NULL ? "ref" : "reference",
                                  "values, and words for them at attach", "attach did not announce one", "%s",
                                  ref == NULL ? "NULL" : "none");
    if (n == 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "n", "1 or more", "rows of the reference", "%d", 0);
    if (first >= t->info.rows || n > t->info.rows - first)
        return mscope_why_row(t, (int64_t)first + n - 1);
    uint32_t chunk = (uint32_t)(c->sync_bytes / (t->info.dim * mscope_value_size(value_type)));
    for (uint32_t done = 0, k; done < n; done += k) {
        k = n - done < chunk ? n - done : chunk > 0 ? chunk : 1;
        const char *p = (const char *)ref + (size_t)done * t->info.dim * mscope_value_size(value_type);
        if (mscope_heal_keep(t, first + done, k, p, (uint8_t)value_type) != 0)
            return mscope_why_memory("reference");
    }
    mscope_link_pump(c);
    mscope_heal_some(c, (uint32_t)table, 0);
    return 0;
}

static int bare(mscope_client *c, uint8_t kind)
{
    mscope_frame *f = mscope_frame_new(kind);
    mscope_header h = { 0 };

    if (f == NULL)
        return 1;
    h.session = c->session;
    if (mscope_queue_push(&c->queue, f, &h) != 0) {  /* a full buffer holds up steps, not these 64 bytes */
        mscope_frame_free(f);
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

/* Everything acknowledged, and nothing left that this side could still mend. */
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
    uint64_t until = mscope_now_ns() + (uint64_t)(wait_ms > 0 ? wait_ms : 0) * MS;

    if (mscope_check_client(c) != 0)
        return MSCOPE_EINVAL;
    for (;;) {
        mscope_link_pump(c);
        heal_all(c, 1);
        mscope_link_pump(c);
        if (settled(c))
            break;
        uint64_t now = mscope_now_ns();
        if (now >= until)
            return MSCOPE_EAGAIN;
        uint64_t left = (until - now) / MS + 1;
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
    out->frames_unacked = c->queue.len;
    out->bytes_unacked = c->queue.bytes;
    out->connected = c->up && c->established;
    out->exact = 1;
    for (size_t i = 0; i < c->tables; i++) {
        out->connected &= c->table[i].welcomed;
        out->exact &= mscope_heal_exact(c, &c->table[i]);
    }
}

void mscope_client_close(mscope_client *c, int wait_ms)
{
    if (mscope_check_client(c) != 0)
        return;                                      /* a forked child leaves everything to its parent */
    uint64_t until = mscope_now_ns() + (uint64_t)(wait_ms > 0 ? wait_ms : 0) * MS;
    if (bare(c, MSCOPE_BYE) == 0)
        while (c->queue.len > 0 && mscope_now_ns() < until) {
            mscope_link_wait(c, 5);
            mscope_link_pump(c);
        }
    mscope_link_close(c);
    for (size_t i = 0; i < c->tables; i++)
        mscope_heal_forget(&c->table[i]);
    mscope_queue_fini(&c->queue);
    free(c->table);
    free(c);
}
