/* zmtp.c - bytes of a connection: their frames are the same in whatever pieces they come */
#include "daemon/zmtp.h"
#include "fuzz.h"

typedef struct seen {
    uint64_t frames, sum;
    uint64_t most;                       /* stop at this frame */
} seen;

static int frame(void *context, const mscope_zmtp_frame *f)
{
    seen *s = context;
    const size_t n = f->size < MSCOPE_ZMTP_BEGIN ? (size_t)f->size : MSCOPE_ZMTP_BEGIN;

    s->sum = s->sum * 31 + f->flags + f->size;
    for (size_t i = 0; i < n; i++)
        s->sum = s->sum * 31 + f->begin[i];
    return ++s->frames == s->most ? 7 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    fuzz_input in = { bytes, len };
    const size_t piece = (size_t)fuzz_take(&in, 1) + 1;
    seen whole = { .most = fuzz_take(&in, 1) + 1 }, parts = { .most = whole.most };
    mscope_zmtp a = { 0 }, b = { 0 };
    const int rc = mscope_zmtp_feed(&a, in.at, in.left, frame, &whole);
    int same = 0;

    FUZZ_HOLDS(rc == 0 || rc == -1 || rc == 7);
    while (in.left > 0 && same == 0) {
        const size_t n = piece < in.left ? piece : in.left;
        same = mscope_zmtp_feed(&b, in.at, n, frame, &parts);
        in.at += n;
        in.left -= n;
    }
    FUZZ_HOLDS(same == rc && parts.frames == whole.frames && parts.sum == whole.sum);
    FUZZ_HOLDS(rc != 0 || (a.stage == b.stage && a.got == b.got && a.curve == b.curve));
    return 0;
}
