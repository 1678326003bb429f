/* push.c - steps and probes into messages: in the ring of shared memory, or in memory where there is no ring
 *
 * Each call has its arguments checked (check.c), builds one message (one copy of the gradients, or none when the caller
 * wrote them in place), queues it and serves the socket. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "dialog.h"
#include "gather.h"
#include "heal.h"
#include "link.h"
#include "protocol/refusal.h"
#include "state.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "gradients are sent as they are in memory, and the wire is little-endian");

enum { SCHEDULE_BYTES = 3 * sizeof(double) };

/* -- messages ----------------------------------------------------------------------------------------- */

static int use_shm(const mscope_client *c)
{
    return c->shm.ring.at != NULL && c->slot == NULL &&
           (c->shm.state == MSCOPE_SHM_UP || c->shm.mode == MSCOPE_TRANSPORT_SHM);
}

static int fits(const mscope_client *c, uint64_t bytes, uint64_t in_ring)
{
    return c->queue.bytes + bytes <= c->queue.limit && !(use_shm(c) && !mscope_shm_ring_room(&c->shm.ring, in_ring));
}

/* With block_ms the trainer prefers to be slowed down over losing steps. */
static void wait_for_room(mscope_client *c, uint64_t bytes, uint64_t in_ring)
{
    uint64_t until = mscope_client_until_ns(c->block_ms);

    while (!fits(c, bytes, in_ring) && mscope_client_now_ns() < until) {
        mscope_link_wait(c, 1);
        mscope_link_pump(c);
    }
}

static int drop_step(mscope_client *c, mscope_client_table *t, int rc)
{
    t->step++;
    c->stats.steps_dropped++;
    mscope_heal_start(t);                            /* the chunks sent of a SYNC are out of date now */
    mscope_link_pump(c);
    return rc;
}

/* No daemon is fast enough for a step larger than the whole buffer. */
static void tell_too_large(mscope_client *c, uint64_t bytes)
{
    char range[64];
    mscope_refusal why;

    snprintf(range, sizeof range, "at least %llu for this step", (unsigned long long)bytes);
    mscope_refusal_set(&why, MSCOPE_ENOMEM, "buffer_bytes", range,
                       "a step larger than the buffer is dropped; give the client a larger one", "%llu",
                       (unsigned long long)c->queue.limit);
    mscope_refusal_note(c, "cannot send with", &why);
}

/* Room in the ring for every body that a message of n entries can have. */
static uint64_t ring_bytes(size_t n, size_t row_bytes, int counts)
{
    const uint64_t list = n * sizeof(uint32_t), values = (uint64_t)n * row_bytes;

    return (counts ? 2 : 1) * (list + MSCOPE_SHM_ALIGN) + values + 2 * MSCOPE_SHM_ALIGN;
}

/* A message without bodies yet: they go into the ring, or into memory when it is missing or full. NULL: neither. */
static mscope_message *empty_message(mscope_client *c, uint8_t kind, size_t n, size_t row_bytes, int counts)
{
    mscope_message *f = mscope_message_new(kind);

    if (f != NULL && n > 0 && use_shm(c) &&
        mscope_message_in_ring(f, &c->shm.ring, ring_bytes(n, row_bytes, counts)) == 0)
        return f;
    if (f != NULL && n > 0 && c->shm.mode == MSCOPE_TRANSPORT_SHM) {
        mscope_message_free(f);
        return NULL;
    }
    return f;
}

static int has_counts(const mscope_gradient *g)
{
    return g->counts != NULL || g->tallied;
}

/* A message with its rows and values. NULL: *rc is MSCOPE_ENOMEM or MSCOPE_EINDEX. */
static mscope_message *gradient_message(mscope_client *c, const mscope_client_table *t, uint8_t kind,
                                        const mscope_gradient *g, int *rc)
{
    mscope_message *f = empty_message(c, kind, g->n, g->row_bytes, has_counts(g));
    void *p = f;

    *rc = 0;
    if (p != NULL && g->n > 0) {
        uint32_t *rows = p = mscope_message_body(f, g->n * sizeof *rows);
        if (p != NULL)
            *rc = mscope_fill_rows(rows, g, t);
        if (p != NULL && *rc == 0 && (p = mscope_message_body(f, g->n * g->row_bytes)) != NULL)
            mscope_fill_values(p, rows, g, t);
    }
    if (p == NULL)
        *rc = MSCOPE_ENOMEM;
    if (*rc == 0)
        return f;
    mscope_message_free(f);
    return NULL;
}

static int add_counts(mscope_message *f, mscope_header *h, const mscope_gradient *g, const mscope_client_table *t)
{
    void *p = mscope_message_body(f, g->n * sizeof(uint32_t));

    if (p == NULL)
        return MSCOPE_ENOMEM;
    mscope_fill_counts(p, g, t);
    h->flags |= MSCOPE_FLAG_COUNTS;
    return 0;
}

static int add_schedule(mscope_message *f, mscope_header *h, const mscope_step *step)
{
    const double schedule[3] = { step->weight_decay, step->decoupled_decay, step->dampening };
    void *p;

    if (schedule[0] == 0 && schedule[1] == 0 && schedule[2] == 0)
        return 0;
    if ((p = mscope_message_body(f, sizeof schedule)) == NULL)
        return MSCOPE_ENOMEM;
    memcpy(p, schedule, sizeof schedule);
    h->flags |= MSCOPE_FLAG_SCHEDULE;
    return 0;
}

static mscope_header step_header(const mscope_client_table *t, int table, const mscope_step *step, size_t n,
                                 unsigned value_type)
{
    return (mscope_header){ .step = t->step + 1, .a = step->eta, .b = step->eps, .table = (uint32_t)table,
                            .count = (uint32_t)n, .extra = (uint32_t)lround(step->batch),
                            .index_type = n > 0 ? MSCOPE_U32 : 0, .value_type = (uint8_t)(n > 0 ? value_type : 0) };
}

/* The message has everything but its schedule: add it, queue it, send it, heal a little. */
static int finish_step(mscope_client *c, int table, mscope_message *f, mscope_header *h, const mscope_step *step)
{
    mscope_client_table *t = &c->table[table];
    const int shm = f->ring != NULL;

    if (add_schedule(f, h, step) != 0) {
        mscope_message_free(f);
        return drop_step(c, t, 1);
    }
    if (mscope_queue_offer(&c->queue, f, h) != 0)
        return drop_step(c, t, 1);
    t->queued = ++t->step;
    c->stats.steps_sent++;
    c->stats.steps_shm += (uint64_t)shm;
    mscope_link_send(c);
    if (t->syncing || t->ref_next < t->nrefs) {
        mscope_heal_with_push(c, (uint32_t)table);
        mscope_link_send(c);
    }
    return 0;
}

/* Room for a step of n entries, waited for where block_ms allows it. Returns 0, or 1: none. */
static int find_room(mscope_client *c, const mscope_client_table *t, size_t n, size_t row_bytes, int counts)
{
    const uint64_t bytes = sizeof(mscope_message) + MSCOPE_HEADER_LEN + SCHEDULE_BYTES +
                           n * (2 * sizeof(uint32_t) + row_bytes);
    const uint64_t in_ring = ring_bytes(n, row_bytes, counts);

    mscope_link_take(c);
    if (mscope_dialog_turned_away(c, t))
        return 1;
    if (!fits(c, bytes, in_ring))
        mscope_link_pump(c);                         /* answers may have made room */
    if (c->block_ms > 0)
        wait_for_room(c, bytes, in_ring);
    if (bytes > c->queue.limit)
        tell_too_large(c, bytes);
    return c->queue.bytes + bytes > c->queue.limit;
}

static size_t step_row_bytes(const mscope_client_table *t, unsigned value_type)
{
    return MSCOPE_FORM_READS(t->info.form) ? MSCOPE_READ_COLUMNS * mscope_value_size(value_type)
                                           : mscope_row_bytes(t, value_type);
}

static int push(mscope_client *c, int table, const mscope_step *step, mscope_gradient *g)
{
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    mscope_client_table *t = &c->table[table];
    if ((rc = mscope_check_step(t, step)) != 0 ||
        (rc = mscope_check_gradient(t, g->values, g->value_type, g->counts, g->n)) != 0)
        return drop_step(c, t, rc);

    g->row_bytes = step_row_bytes(t, g->value_type);
    if (find_room(c, t, g->n, g->row_bytes, has_counts(g)) != 0)
        return drop_step(c, t, 1);
    mscope_message *f = gradient_message(c, t, MSCOPE_STEP, g, &rc);
    if (rc != 0)
        return drop_step(c, t, rc == MSCOPE_ENOMEM ? 1 : rc);
    mscope_header h = step_header(t, table, step, g->n, g->value_type);
    if (has_counts(g) && g->n > 0 && add_counts(f, &h, g, t) != 0) {
        mscope_message_free(f);
        return drop_step(c, t, 1);
    }
    return finish_step(c, table, f, &h, step);
}

/* -- the public forms ------------------------------------------------------------------------------- */

int mscope_client_push(mscope_client *c, int table, const mscope_step *step, const uint32_t *rows, const void *grads,
                       enum mscope_value value_type, const uint32_t *counts, size_t n)
{
    mscope_gradient g = { .rows32 = rows, .values = rows != NULL ? grads : NULL, .value_type = value_type,
                          .counts = counts, .n = n };
    return push(c, table, step, &g);
}

int mscope_client_push64(mscope_client *c, int table, const mscope_step *step, const int64_t *rows, const void *grads,
                         enum mscope_value value_type, const uint32_t *counts, size_t n)
{
    mscope_gradient g = { .rows64 = rows, .values = rows != NULL ? grads : NULL, .value_type = value_type,
                          .counts = counts, .n = n };
    return push(c, table, step, &g);
}

int mscope_client_push_dense(mscope_client *c, int table, const mscope_step *step, const void *grads,
                             enum mscope_value value_type, const uint8_t *mask)
{
    mscope_gradient g = { .mask = mask, .values = grads, .value_type = value_type };

    int rc = mscope_check_table(c, table);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < c->table[table].info.rows; i++)
        g.n += mask == NULL || mask[i];
    return push(c, table, step, &g);
}

int mscope_client_push_lookups(mscope_client *c, int table, const mscope_step *step, const int64_t *lookups, size_t n,
                               const void *grads, enum mscope_value value_type)
{
    mscope_gradient g = { .values = grads, .value_type = value_type, .tallied = 1 };
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    mscope_client_table *t = &c->table[table];
    if (MSCOPE_FORM_READS(t->info.form))
        return drop_step(c, t, mscope_refusal_set(mscope_why(), MSCOPE_ESTATE, "form", "MSCOPE_FORM_EMA or _TORCH",
                                                  "an optimizer that is read is told by mscope_client_read_after",
                                                  "%s", "READ or FROZEN"));
    if (lookups == NULL && n > 0)
        return drop_step(c, t, mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "lookups", "the address of n rows",
                                                  "nothing was given", "%s", "NULL"));
    if ((uint64_t)n > UINT32_MAX)
        return drop_step(c, t, mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "n", "0 to 4294967295",
                                                  "look-ups in one step", "%zu", n));
    if ((rc = mscope_tally(t, lookups, n, &g.n)) != 0)
        return drop_step(c, t, rc == MSCOPE_ENOMEM ? 1 : rc);
    if (grads != NULL && mscope_check_values(t, value_type) == 0)
        g.n -= mscope_tally_leave_zeros(t, grads, mscope_row_bytes(t, value_type));
    return push(c, table, step, &g);
}

/* -- in place --------------------------------------------------------------------------------------- */

static void give_up_slot(mscope_client *c)
{
    mscope_message_free(c->slot);
    c->slot = NULL;
}

int mscope_client_reserve(mscope_client *c, int table, size_t n, enum mscope_value value_type, int counts,
                          mscope_slot *out)
{
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    mscope_client_table *t = &c->table[table];
    if (out == NULL || c->slot != NULL)
        return mscope_refusal_set(mscope_why(), out == NULL ? MSCOPE_EINVAL : MSCOPE_ESTATE, "out",
                                  "one slot at a time", "commit or abandon the slot before it", "%s",
                                  out == NULL ? "NULL" : "a second slot");
    if ((rc = mscope_check_gradient(t, "", value_type, NULL, n)) != 0)
        return rc;
    if (n == 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "n", "1 or more",
                                  "use push for a step without entries", "%d", 0);
    const size_t row_bytes = step_row_bytes(t, value_type);
    if (find_room(c, t, n, row_bytes, counts) != 0)
        return 1;
    mscope_message *f = empty_message(c, MSCOPE_STEP, n, row_bytes, counts);
    *out = (mscope_slot){ .n = n };
    if (f != NULL && (out->rows = mscope_message_body(f, n * sizeof *out->rows)) != NULL)
        out->values = mscope_message_body(f, n * row_bytes);
    if (out->values != NULL && counts)
        out->counts = mscope_message_body(f, n * sizeof *out->counts);
    if (out->values == NULL || (counts && out->counts == NULL)) {
        mscope_message_free(f);
        return 1;
    }
    c->slot = f;
    c->slot_is = *out;
    c->slot_table = table;
    c->slot_type = value_type;
    return 0;
}

int mscope_client_commit(mscope_client *c, const mscope_step *step)
{
    int rc = mscope_check_client(c);

    if (rc != 0)
        return rc;
    if (c->slot == NULL)
        return mscope_refusal_set(mscope_why(), MSCOPE_ESTATE, "slot", "one from mscope_client_reserve",
                                  "no slot is reserved", "%s", "none");
    mscope_client_table *t = &c->table[c->slot_table];
    const mscope_slot *s = &c->slot_is;
    rc = mscope_check_step(t, step);
    if (rc == 0)
        rc = mscope_check_gradient(t, s->values, c->slot_type, s->counts, s->n);
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (s->rows[i] >= t->info.rows)
            rc = mscope_why_row(t, s->rows[i]);
    if (rc != 0) {
        give_up_slot(c);
        return drop_step(c, t, rc);
    }
    mscope_link_take(c);
    mscope_header h = step_header(t, c->slot_table, step, s->n, c->slot_type);
    h.flags |= s->counts != NULL ? MSCOPE_FLAG_COUNTS : 0;
    mscope_message *f = c->slot;
    c->slot = NULL;
    return finish_step(c, c->slot_table, f, &h, step);
}

void mscope_client_abandon(mscope_client *c)
{
    if (mscope_check_client(c) == 0)
        give_up_slot(c);
}

/* -- without gradients ------------------------------------------------------------------------------ */

int mscope_client_skip(mscope_client *c, int table)
{
    int rc = mscope_check_table(c, table);

    return rc != 0 ? rc : drop_step(c, &c->table[table], 1);
}

int mscope_client_probe(mscope_client *c, int table, double delta, const int64_t *rows, const void *hm,
                        enum mscope_value value_type, size_t n)
{
    mscope_gradient g = { .rows64 = rows, .values = rows != NULL ? hm : NULL, .value_type = value_type, .n = n };
    int rc = mscope_check_table(c, table);

    if (rc != 0)
        return rc;
    if (!isfinite(delta) || delta <= 0)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "delta", "finite, above 0",
                                  "the step of the difference quotient", "%g", delta);
    mscope_client_table *t = &c->table[table];
    if ((rc = mscope_check_gradient(t, g.values, g.value_type, NULL, n)) != 0)
        return rc;
    if (t->queued != t->step || n == 0)
        return 1;                                    /* the daemon cannot place a probe behind a dropped step */
    g.row_bytes = mscope_row_bytes(t, value_type);
    mscope_message *f = gradient_message(c, t, MSCOPE_PROBE, &g, &rc);
    if (f == NULL)
        return rc == MSCOPE_ENOMEM ? 1 : rc;
    mscope_header h = { .step = t->step + 1, .a = delta, .table = (uint32_t)table, .count = (uint32_t)n,
                        .index_type = MSCOPE_U32, .value_type = (uint8_t)value_type };
    rc = mscope_queue_offer(&c->queue, f, &h);
    mscope_link_pump(c);
    return rc;
}
