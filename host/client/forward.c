/* forward.c - messages as another trainer sent them, for replaying a recording
 *
 * They go through the ordinary queue and link: credit, acknowledgement and resending are those of any trainer. */

#include <string.h>

#include "check.h"
#include "clock.h"
#include "link.h"
#include "protocol/refusal.h"
#include "state.h"

static int check(const mscope_header *h, size_t n)
{
    if ((h->kind < MSCOPE_STEP || h->kind > MSCOPE_SYNC) && h->kind != MSCOPE_NOTE && h->kind != MSCOPE_LABELS)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "kind", "2 to 5, 9, 10",
                                  "only STEP, PROBE, REFERENCE, SYNC, NOTE and LABELS are forwarded", "%u", h->kind);
    if (n > MSCOPE_BODIES)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "n", "0 to 4", "parts behind a header", "%zu", n);
    return 0;
}

static mscope_message *message_of(const mscope_header *h, const uint8_t *const *part, const size_t *len, size_t n)
{
    mscope_message *f = mscope_message_new(h->kind);

    for (size_t i = 0; f != NULL && i < n; i++) {
        void *body = mscope_message_body(f, len[i]);
        if (body == NULL) {
            mscope_message_free(f);
            return NULL;
        }
        if (len[i] > 0)
            memcpy(body, part[i], len[i]);
    }
    return f;
}

/* The clock is the recording's: a step that the recording misses is missed here too. */
static void move_clock(mscope_client_table *t, const mscope_header *h)
{
    if ((h->kind == MSCOPE_STEP || h->kind == MSCOPE_SYNC) && h->step > t->step)
        t->step = h->step;
    if (h->kind == MSCOPE_STEP || h->kind == MSCOPE_SYNC)
        t->queued = t->step;
}

int mscope_client_forward(mscope_client *c, int table, const mscope_header *header, const uint8_t *const *part,
                          const size_t *len, size_t n)
{
    mscope_header h;
    int rc = mscope_check_table(c, table);

    if (rc != 0 || (rc = check(header, n)) != 0)
        return rc;
    mscope_message *f = message_of(header, part, len, n);
    if (f == NULL)
        return mscope_why_memory("message");
    const uint64_t until = mscope_client_until_ns(c->block_ms);
    mscope_link_pump(c);
    while (c->queue.bytes + mscope_message_held(f) > c->queue.limit && mscope_client_now_ns() < until) {
        mscope_link_wait(c, 5);
        mscope_link_pump(c);
    }
    h = *header;
    h.table = (uint32_t)table;
    if (mscope_queue_offer(&c->queue, f, &h) != 0)
        return 1;
    move_clock(&c->table[table], header);
    c->stats.steps_sent += h.kind == MSCOPE_STEP;
    mscope_link_pump(c);
    return 0;
}
