/* heal.c - SYNC and REFERENCE: the daemon's copy gets the trainer's own rows
 *
 * A SYNC is a sequence of chunks in ascending order, from row 0 to the last. Each chunk has the values of its rows at
 * its own step. Chunks are queued a few at a time, right behind the STEP they belong to, so they never delay the
 * trainer; a step dropped meanwhile starts the SYNC again. References are kept here, because a daemon that restarts has
 * lost them. */

#include "heal.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* With a push, healing takes PUSH_NS, or where steps are long the PUSHES-th part of a step; but LEAST_BYTES always. */
enum { PUSH_NS = 250000, PUSHES = 200, LEAST_BYTES = 65536 };

static size_t element(const mscope_client_table *t)
{
    return t->info.state == MSCOPE_STATE_F64 ? sizeof(double) : sizeof(float);
}

int mscope_heal_able(const mscope_client_table *t)
{
    return t->info.read != NULL || (t->info.theta != NULL && t->info.m != NULL);
}

void mscope_heal_start(mscope_client_table *t)
{
    t->sync_row = 0;
    t->syncing = mscope_heal_able(t);
    t->inexact = 1;
}

void mscope_heal_forgive(mscope_client_table *t)
{
    t->sync_after = t->sync_wait = 0;
}

int mscope_heal_exact(const mscope_client *c, const mscope_client_table *t)
{
    return t->welcomed && !t->syncing && !t->inexact && t->queued == t->step &&
           mscope_queue_find(&c->queue, t->sync_last) == NULL;
}

/* -- SYNC ------------------------------------------------------------------------------------------- */

static int copy_rows(mscope_client_table *t, uint32_t first, uint32_t n, void *theta, void *m)
{
    const mscope_attach_info *in = &t->info;
    const size_t d = in->dim, len = (size_t)n * d, at = (size_t)first * d, e = element(t);

    if (in->read != NULL && in->state != MSCOPE_STATE_MIXED)
        return in->read(in->read_ctx, first, n, theta, m);
    if (in->read != NULL) {                  /* MSCOPE_STATE_MIXED: momentum is float64 here, float32 on the wire */
        double *wide = malloc(len * sizeof *wide);
        int rc = wide != NULL ? in->read(in->read_ctx, first, n, theta, wide) : MSCOPE_ENOMEM;
        for (size_t i = 0; rc == 0 && i < len; i++)
            ((float *)m)[i] = (float)wide[i];
        free(wide);
        return rc;
    }
    if (in->settle != NULL)
        in->settle(in->settle_ctx, first, n);
    memcpy(theta, (const char *)in->theta + at * e, len * e);
    if (in->state != MSCOPE_STATE_MIXED)
        memcpy(m, (const char *)in->m + at * e, len * e);
    else
        for (size_t i = 0; i < len; i++)
            ((float *)m)[i] = (float)((const double *)in->m)[at + i];
    return 0;
}

/* Rows of the next chunk: its two bodies fit `most` bytes and the daemon's credit, but one row always goes. */
static uint32_t chunk_rows(const mscope_client *c, const mscope_client_table *t, uint64_t most)
{
    uint64_t row = 2ull * t->info.dim * element(t);

    if (c->credit_bytes > 2 * MSCOPE_HEADER_LEN && most > c->credit_bytes - MSCOPE_HEADER_LEN)
        most = c->credit_bytes - MSCOPE_HEADER_LEN;
    uint64_t n = most / row, left = t->info.rows - t->sync_row;
    const uint64_t reads = most / (2ull * t->info.width * sizeof(float) + 1);
    if (MSCOPE_FORM_READS(t->info.form) && n > reads)        /* what is short on the wire is long to read */
        n = reads;
    if (n == 0)
        n = 1;
    return (uint32_t)(n < left ? n : left);
}

/* One chunk that took long says little: another process may have had the processor. */
static void note_pace(mscope_client *c, uint64_t ns, size_t bytes)
{
    const double pace = (double)ns / (double)bytes, was = c->sync_pace;

    c->sync_pace = was > 0 ? ((pace < 4 * was ? pace : 4 * was) + was) / 2 : pace;
}

static int queue_chunk(mscope_client *c, uint32_t handle, uint64_t most)
{
    mscope_client_table *t = &c->table[handle];
    const uint64_t begin = mscope_client_now_ns();
    uint32_t n = chunk_rows(c, t, most);
    size_t len = (size_t)n * t->info.dim * element(t);
    mscope_message *f = mscope_message_new(MSCOPE_SYNC);
    void *theta = f != NULL ? mscope_message_body(f, len) : NULL;
    void *m = theta != NULL ? mscope_message_body(f, len) : NULL;
    int last = t->sync_row + n == t->info.rows;

    if (m == NULL || copy_rows(t, t->sync_row, n, theta, m) < 0) {
        mscope_message_free(f);
        return 1;
    }
    mscope_header h = { .table = handle, .step = t->step, .count = n, .extra = t->sync_row,
                        .flags = last ? MSCOPE_FLAG_LAST : 0,
                        .value_type = t->info.state == MSCOPE_STATE_F64 ? MSCOPE_F64 : MSCOPE_F32 };
    if (mscope_queue_offer(&c->queue, f, &h) != 0)
        return 1;
    note_pace(c, mscope_client_now_ns() - begin, 2 * len);
    t->queued = t->step;                     /* a SYNC of a later step moves the daemon's clock there */
    t->sync_row += n;
    if (last) {
        t->syncing = 0;
        t->sync_last = h.seq;
        c->stats.syncs++;
    }
    return 0;
}

/* -- references ------------------------------------------------------------------------------------- */

int mscope_heal_keep(mscope_client_table *t, enum mscope_kind kind, uint32_t first, uint32_t n, const void *from,
                     size_t len, uint8_t value_type)
{
    size_t i = 0;
    zmq_msg_t values;

    if (zmq_msg_init_size(&values, len) != 0)
        return MSCOPE_ENOMEM;
    memcpy(zmq_msg_data(&values), from, len);
    while (i < t->nrefs && !(t->refs[i].kind == kind && t->refs[i].first == first && t->refs[i].n == n))
        i++;
    if (i < t->nrefs) {
        zmq_msg_close(&t->refs[i].values);
    } else {
        mscope_reference_chunk *grown = realloc(t->refs, (t->nrefs + 1) * sizeof *grown);
        if (grown == NULL) {
            zmq_msg_close(&values);
            return MSCOPE_ENOMEM;
        }
        t->refs = grown;
        t->nrefs++;
    }
    t->refs[i].kind = (uint8_t)kind;
    t->refs[i].first = first;
    t->refs[i].n = n;
    t->refs[i].value_type = value_type;
    zmq_msg_init(&t->refs[i].values);
    zmq_msg_move(&t->refs[i].values, &values);
    zmq_msg_close(&values);
    if (i < t->ref_next)
        t->ref_next = i;
    return 0;
}

void mscope_heal_forget(mscope_client_table *t)
{
    for (size_t i = 0; i < t->nrefs; i++)
        zmq_msg_close(&t->refs[i].values);
    free(t->refs);
    t->refs = NULL;
    t->nrefs = t->ref_next = 0;
}

static int queue_reference(mscope_client *c, uint32_t handle)
{
    mscope_client_table *t = &c->table[handle];
    mscope_reference_chunk *r = &t->refs[t->ref_next];
    mscope_message *f = mscope_message_new(r->kind);
    mscope_header h = { .table = handle, .step = t->step, .count = r->n, .extra = r->first,
                        .flags = r->kind == MSCOPE_REFERENCE && r->first + r->n == t->info.rows ? MSCOPE_FLAG_LAST : 0,
                        .value_type = r->value_type };

    if (f == NULL || mscope_message_share(f, &r->values) != 0) {
        mscope_message_free(f);
        return 1;
    }
    if (mscope_queue_offer(&c->queue, f, &h) != 0)
        return 1;
    t->ref_next++;
    return 0;
}

/* At most sync_bytes of healing wait unsent, so that the next step finds the queue short. Healing can wait and steps
 * cannot: it leaves half of the buffer to them, where the daemon falls behind. */
static void heal(mscope_client *c, uint32_t handle, int may_seek, uint64_t most)
{
    mscope_client_table *t = &c->table[handle];
    uint64_t queued = 0, before;

    most = most < c->sync_bytes ? most : c->sync_bytes;
    if (!c->established || !t->welcomed)
        return;
    while (queued < most) {
        if (c->queue.wire - c->queue.sent_bytes >= c->sync_bytes || c->queue.bytes > c->queue.limit / 2)
            return;
        before = c->queue.bytes;
        if (t->ref_next < t->nrefs && t->queued == t->step) {
            if (queue_reference(c, handle) != 0)
                return;
        } else if (t->syncing && (t->queued == t->step || may_seek) && mscope_client_now_ns() >= t->sync_after) {
            if (queue_chunk(c, handle, most) != 0)
                return;
        } else {
            return;
        }
        queued += c->queue.bytes - before;
    }
}

void mscope_heal_some(mscope_client *c, uint32_t handle, int may_seek)
{
    heal(c, handle, may_seek, c->sync_bytes);
}

/* How long it takes to read rows is the trainer's affair: memory that it copies, or a call of its own. */
void mscope_heal_with_push(mscope_client *c, uint32_t handle)
{
    const uint64_t now = mscope_client_now_ns(), since = now - c->healed_at;
    const double ns = (double)(since / PUSHES > PUSH_NS ? since / PUSHES : PUSH_NS);
    const double bytes = c->sync_pace > 0 ? ns / c->sync_pace : 0;
    uint64_t most = c->sync_bytes;

    if (c->sync_timed && bytes < (double)most)
        most = bytes > LEAST_BYTES ? (uint64_t)bytes : LEAST_BYTES;
    c->healed_at = now;
    heal(c, handle, 0, most);
}
