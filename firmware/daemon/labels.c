/* labels.c - see labels.h */
#include "labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/refusal.h"

#define LABELS_MAX (UINT64_C(64) << 20)      /* bytes of a table's labels */
#define CHUNKS_MAX 4096                      /* each is looked at for a row, and costs memory beside its bytes */

struct mscope_labels {
    mscope_labels *next;             /* an older chunk */
    uint32_t first, n;
    size_t bytes;
    char text[];                     /* n texts, each ended by a NUL */
};

/* *chunks: how many there are before it. */
static mscope_labels **same_rows(mscope_shadow *s, const mscope_header *h, uint32_t *chunks)
{
    mscope_labels **at = &s->labels;

    for (*chunks = 0; *at != NULL && !((*at)->first == h->extra && (*at)->n == h->count); ++*chunks)
        at = &(*at)->next;
    return at;
}

int mscope_labels_apply(mscope_shadow *s, const mscope_header *h, const mscope_part *f, size_t n, mscope_refusal *why)
{
    const uint64_t end = (uint64_t)h->extra + h->count;
    uint32_t chunks;
    mscope_labels **old = same_rows(s, h, &chunks), *made;
    char range[64];
    int err;

    if (n != 1)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "parts", "1 after the header", "LABELS has one part", "%zu", n);
    (void)snprintf(range, sizeof range, "first + count <= %u", s->hello.rows);
    if (end > s->hello.rows)
        return mscope_refusal_set(why, MSCOPE_EINDEX, "extra (first row)", range, "rows outside the table", "%u + %u",
                                  h->extra, h->count);
    err = mscope_labels_check((const char *)f[0].at, f[0].len, h->count, why);
    if (err)
        return err;
    if (chunks >= CHUNKS_MAX)
        return mscope_refusal_set(why, MSCOPE_ENOMEM, "labels", "at most 4096 messages for a table",
                                  "give labels of many rows in one; those of earlier rows stay", "one more");
    const size_t had = *old != NULL ? (*old)->bytes : 0;
    made = s->label_bytes - had + f[0].len <= LABELS_MAX ? malloc(sizeof *made + f[0].len) : NULL;
    if (made == NULL)
        return mscope_refusal_set(why, MSCOPE_ENOMEM, "labels", "at most 64 MiB for a table",
                                  "the labels of earlier rows stay", "%zu bytes more", f[0].len);
    *made = (mscope_labels){ .first = h->extra, .n = h->count, .bytes = f[0].len };
    memcpy(made->text, f[0].at, f[0].len);
    if (*old != NULL) {
        mscope_labels *gone = *old;
        *old = gone->next;
        free(gone);
    }
    made->next = s->labels;
    s->labels = made;
    s->label_bytes += f[0].len - had;
    return 0;
}

const char *mscope_label_of(const mscope_shadow *s, uint32_t row)
{
    for (const mscope_labels *c = s->labels; c != NULL; c = c->next) {
        const char *text = c->text;

        if (row < c->first || row - c->first >= c->n)
            continue;
        for (uint32_t i = row - c->first; i > 0; i--)
            text += strlen(text) + 1;
        return text;
    }
    return "";
}

const char *mscope_label_quoted(const mscope_shadow *s, uint32_t row, char out[MSCOPE_LABEL_MAX + 4])
{
    const char *label = mscope_label_of(s, row);

    out[0] = '\0';
    if (label[0] != '\0')
        (void)snprintf(out, MSCOPE_LABEL_MAX + 4, " \"%s\"", label);
    return out;
}

void mscope_labels_forget(mscope_shadow *s)
{
    while (s->labels != NULL) {
        mscope_labels *next = s->labels->next;
        free(s->labels);
        s->labels = next;
    }
    s->label_bytes = 0;
}
