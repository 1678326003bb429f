/* engine.h - an engine without sockets for the fuzzers: messages in, answers and records counted */
#ifndef MSCOPE_FUZZ_ENGINE_H
#define MSCOPE_FUZZ_ENGINE_H

#include "daemon/engine.h"
#include "daemon/log.h"
#include "daemon/messages.h"
#include "daemon/records.h"
#include "daemon/restore.h"
#include "daemon/slices.h"
#include "daemon/store.h"
#include "protocol/bytes.h"
#include "fuzz.h"

enum { FUZZ_TABLES = 4, FUZZ_SLOTS = 256 };

typedef struct fuzz_engine {
    mscope_engine engine;
    mscope_shadow shadows[FUZZ_TABLES];
    mscope_record slots[FUZZ_SLOTS];
    mscope_ring ring;
    mscope_outside outside;
    mscope_answer answer;
    uint64_t now_ns;
} fuzz_engine;

static inline void fuzz_engine_open(fuzz_engine *f)
{
    const mscope_engine_config cfg = { .max_tables = FUZZ_TABLES, .history = 64, .max_bytes = 1 << 24,
                                       .max_part = 1 << 20, .credit_messages = 64, .credit_bytes = 1 << 20,
                                       .takeover_ns = 1000000000, .interval_steps = 10, .interval = 0.1,
                                       .can_save = 1 };
    static int logs;

    if (logs++ == 0)
        (void)mscope_log_open("/dev/null", MSCOPE_LOG_ERROR);
    memset(&f->engine, 0, sizeof f->engine);
    memset(f->shadows, 0, sizeof f->shadows);
    memset(&f->outside, 0, sizeof f->outside);
    f->now_ns = 0;
    FUZZ_HOLDS(mscope_ring_init(&f->ring, f->slots, sizeof f->slots[0], FUZZ_SLOTS) == 0);
    mscope_engine_init(&f->engine, &cfg, f->shadows, &f->ring, &f->outside, 1, 0);
}

/* Every message is answered, with a header that a client takes. */
static inline const mscope_reply *fuzz_engine_say(fuzz_engine *f, const mscope_part *parts, size_t n)
{
    mscope_engine_message(&f->engine, parts, n, f->now_ns, &f->answer);
    FUZZ_HOLDS(f->answer.n >= 1);
    return &f->answer.at[0];
}

/* Records that the engine made can be written, all of them. */
static inline unsigned fuzz_engine_records(fuzz_engine *f)
{
    static uint8_t body[MSCOPE_RECORD_MAX];
    const mscope_record *r;
    unsigned n = 0;

    for (; (r = mscope_ring_peek(&f->ring)) != NULL; mscope_ring_release(&f->ring), n++)
        if ((int)r->kind != MSCOPE_REC_DROPPED)
            FUZZ_HOLDS(mscope_record_encode(r, body, sizeof body) > 0);
    return n;
}

static inline void fuzz_engine_close(fuzz_engine *f)
{
    (void)mscope_engine_fini(&f->engine);
}

#endif
