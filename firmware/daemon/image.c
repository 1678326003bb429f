/* image.c - see image.h */
#include "image.h"

int mscope_image_put(const mscope_shadow *s, writer *w)
{
    uint8_t hello[MSCOPE_HELLO_MAX];
    const double last[] = { s->last.eta, s->last.eps, s->last.dampening, s->last.weight_decay, s->last.decoupled_decay,
                            s->last.batch };
    const uint64_t flags = (uint64_t)s->stepped | (uint64_t)s->probed << 1;
    const uint64_t words[] = { s->session, s->handle, (uint64_t)s->attached, (uint64_t)s->exact, s->healed,
                               s->referenced, flags, s->lost, s->refused, s->syncs, s->published };
    int n = mscope_hello_encode(&s->hello, hello, sizeof hello);

    if (n < 0)
        return n;
    put(w, (uint64_t)n, 4);
    (void)put_bytes(w, hello, (size_t)n);
    put(w, s->history, 4);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        put(w, words[i], 8);
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++)
        put_f64(w, last[i]);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        put_f64(w, s->fisher[b]);
        put_f64(w, s->fisher_updates[b]);
    }
    return 0;
}

int mscope_image_get_hello(source *src, mscope_hello *hello, uint32_t *history)
{
    uint8_t bytes[MSCOPE_HELLO_MAX];
    mscope_refusal why = { .text = "cut short" };
    size_t n = (size_t)get(src, 4);              /* 4 bytes */

    if (n > sizeof bytes || get_bytes(src, bytes, n) || mscope_hello_decode(bytes, n, hello, &why))
        return MSCOPE_EPROTO;
    *history = (uint32_t)get(src, 4);
    return 0;
}

void mscope_image_get(source *src, mscope_shadow *s, uint64_t now_ns)
{
    uint64_t words[11];

    for (unsigned i = 0; i < 11; i++)
        words[i] = get(src, 8);
    s->session = words[0];
    s->handle = (uint32_t)words[1];
    s->attached = words[2] != 0;
    s->exact = words[3] != 0;
    s->healed = (uint32_t)words[4];
    s->referenced = (uint32_t)words[5];
    s->stepped = (int)(words[6] & 1);
    s->probed = (int)(words[6] >> 1 & 1);
    s->lost = words[7];
    s->refused = words[8];
    s->syncs = words[9];
    s->published = words[10];
    s->last.eta = get_f64(src);
    s->last.eps = get_f64(src);
    s->last.dampening = get_f64(src);
    s->last.weight_decay = get_f64(src);
    s->last.decoupled_decay = get_f64(src);
    s->last.batch = get_f64(src);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        s->fisher[b] = get_f64(src);
        s->fisher_updates[b] = get_f64(src);
    }
    s->heard_ns = now_ns;
    s->changed = 1;
}
