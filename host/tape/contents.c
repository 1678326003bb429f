/* contents.c - see contents.h; what counts as lost follows protocol/README.md, "Steps" */
#include "contents.h"

#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "protocol/fields.h"

enum { TABLES = 16384 };             /* every message is looked up among them */

mscope_recorded_table *mscope_contents_find(const mscope_contents *c, uint64_t session, uint32_t handle)
{
    for (size_t i = 0; i < c->tables; i++)
        if (c->table[i].session == session && c->table[i].handle == handle)
            return &c->table[i];
    return NULL;
}

static int take_hello(mscope_contents *c, const mscope_header *h, const uint8_t *body, size_t len, mscope_refusal *why)
{
    mscope_recorded_table *t = mscope_contents_find(c, h->session, h->table);
    mscope_hello hello;
    const int rc = mscope_hello_decode(body, len, &hello, why);

    if (rc != 0 || t != NULL)                /* a HELLO after a reconnect: the steps tell where it is */
        return rc;
    if (c->tables == TABLES)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "tables", "at most 16384", "record fewer runs into a file",
                                  "one more");
    mscope_recorded_table *more = realloc(c->table, (c->tables + 1) * sizeof *more);
    if (more == NULL)
        return MSCOPE_ENOMEM;
    c->table = more;
    t = &c->table[c->tables++];
    *t = (mscope_recorded_table){ .session = h->session, .handle = h->table, .hello = hello, .step = hello.step,
                                  .known = hello.fresh, .known_at = hello.step };
    return 0;
}

static void to_step(mscope_recorded_table *t, uint64_t step)
{
    if (step <= t->step)
        return;
    *(t->steps > 0 ? &t->lost : &t->before) += step - t->step;
    t->step = step;
    t->covered = 0;
    t->known = 0;
}

static void take_sync(mscope_recorded_table *t, const mscope_header *h)
{
    const uint64_t end = (uint64_t)h->extra + h->count;

    to_step(t, h->step);
    if (h->extra == 0)
        t->covered = h->count;
    else if (h->extra <= t->covered && end > t->covered && end <= t->hello.rows)
        t->covered = (uint32_t)end;
    if (t->covered == t->hello.rows) {
        t->syncs++;
        t->covered = 0;
        t->known_at = t->known ? t->known_at : t->step;
        t->known = 1;
    }
}

int mscope_contents_judge(const mscope_contents *c, const mscope_header *h, const uint8_t *const *part,
                          const size_t *len, unsigned n, mscope_refusal *why)
{
    const mscope_recorded_table *t = mscope_contents_find(c, h->session, h->table);

    return t == NULL || h->kind == MSCOPE_HELLO ? 0 : mscope_judge(&t->hello, h, part, len, n, why);
}

void mscope_contents_refuse(mscope_contents *c, const mscope_header *h)
{
    mscope_recorded_table *t = mscope_contents_find(c, h->session, h->table);

    c->messages++;
    if (t != NULL)
        t->refused++;
}

int mscope_contents_take(mscope_contents *c, const mscope_header *h, const uint8_t *const *part, const size_t *len,
                         unsigned n, mscope_refusal *why)
{
    c->messages++;
    if (h->kind == MSCOPE_HELLO)
        return take_hello(c, h, n > 1 ? part[1] : NULL, n > 1 ? len[1] : 0, why);
    mscope_recorded_table *t = mscope_contents_find(c, h->session, h->table);
    if (t == NULL)
        return 0;
    switch (h->kind) {
    case MSCOPE_STEP:
        if (h->step <= t->step)
            break;                           /* the daemon refuses it */
        to_step(t, h->step - 1);
        t->step = h->step;
        t->steps++;
        t->entries += h->count;
        break;
    case MSCOPE_PROBE: t->probes++; break;
    case MSCOPE_REFERENCE: t->references++; break;
    case MSCOPE_SYNC: take_sync(t, h); break;
    default: break;
    }
    return 0;
}

static int take_entry(mscope_contents *c, const mscope_entry *e, mscope_refusal *why)
{
    mscope_refusal no;

    if (mscope_contents_judge(c, &e->header, e->part, e->len, e->parts, &no) == 0)
        return mscope_contents_take(c, &e->header, e->part, e->len, e->parts, why);
    mscope_contents_refuse(c, &e->header);
    return 0;
}

/* As much as can be counted: a file can claim anything. */
static void lose(mscope_contents *c, uint64_t n)
{
    c->lost = n > UINT64_MAX - c->lost ? UINT64_MAX : c->lost + n;
}

int mscope_contents_read(mscope_contents *c, mscope_tape *t, mscope_refusal *why)
{
    mscope_entry e;
    int rc;

    memset(c, 0, sizeof *c);
    mscope_tape_rewind(t);
    while ((rc = mscope_tape_next(t, &e, why)) > 0) {
        if (e.kind == MSCOPE_ENTRY_LOST)
            lose(c, e.lost_last - e.lost_first + 1);
        else if (e.kind == MSCOPE_ENTRY_END && e.end_lost > c->lost)
            c->lost = e.end_lost;            /* more than could be named */
        else if (e.kind == MSCOPE_ENTRY_MESSAGE)
            rc = take_entry(c, &e, why);
        if (rc < 0)
            break;
    }
    c->seconds = (double)t->time_ns * 1e-9;
    c->entries = t->entries;
    c->cut = !t->ended;
    mscope_tape_rewind(t);
    return rc;
}

int mscope_contents_whole(const mscope_contents *c)
{
    for (size_t i = 0; i < c->tables; i++)
        if (c->table[i].lost > 0 || c->table[i].refused > 0 || (c->table[i].steps > 0 && !c->table[i].known))
            return 0;
    return c->lost == 0;
}

void mscope_contents_print(const mscope_contents *c, FILE *to)
{
    static const char *const states[] = { "float32", "mixed", "float64" };
    static const char *const forms[] = { "ema", "torch", "read", "frozen" };

    for (size_t i = 0; i < c->tables; i++) {
        const mscope_recorded_table *t = &c->table[i];
        const mscope_hello *h = &t->hello;
        fprintf(to, "table %s of '%s': %u rows x %u, %s, %s form%s%s\n", h->table, h->client, h->rows,
                h->width > 0 ? h->width : h->dim, states[h->state], forms[h->form], h->nesterov ? ", nesterov" : "",
                h->nll ? ", nll" : "");
        fprintf(
            to,
            "  %llu steps (%llu to %llu), %llu lost; %.4g rows a step; %llu probes, %llu messages of theta*, all rows "
            "sent %llu times",
            (unsigned long long)t->steps, (unsigned long long)(h->step + t->before + (t->steps > 0)),
            (unsigned long long)t->step, (unsigned long long)t->lost,
            t->steps > 0 ? (double)t->entries / (double)t->steps : 0.0, (unsigned long long)t->probes,
            (unsigned long long)t->references, (unsigned long long)t->syncs);
        if (t->refused > 0)
            fprintf(to, "; %llu messages that a daemon refuses", (unsigned long long)t->refused);
        if (!t->known)
            fprintf(to, "; its rows are not known: steps are missing after the rows were last sent");
        else if (t->known_at > h->step + t->before)
            fprintf(to, "; its rows are known from step %llu on", (unsigned long long)t->known_at);
        fprintf(to, "\n");
    }
}

void mscope_contents_free(mscope_contents *c)
{
    free(c->table);
    memset(c, 0, sizeof *c);
}
