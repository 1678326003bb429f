/* engine.c - begin and end of an engine, and time during which the whole daemon stood still */
#include "engine.h"

#include <string.h>

#include "mapped.h"
#include "shadow.h"
#include "slices.h"

void mscope_engine_init(mscope_engine *e, const mscope_engine_config *cfg, mscope_shadow *shadows, mscope_ring *ring,
                        mscope_outside *outside, uint64_t epoch, uint64_t now_ns)
{
    memset(e, 0, sizeof *e);
    e->cfg = *cfg;
    e->shadows = shadows;
    e->ring = ring;
    e->outside = outside;
    e->epoch = epoch;
    e->start_ns = now_ns;
    e->slice_rows = MSCOPE_AT_ONCE;
}

int mscope_engine_fini(mscope_engine *e)
{
    int err = 0;

    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        if (e->shadows[i].used && e->shadows[i].map.fd > 0)
            err |= mscope_mapped_leave(e, &e->shadows[i]);
        else
            mscope_shadow_close(e, &e->shadows[i]);
    return err ? MSCOPE_EIO : 0;
}

void mscope_engine_slept(mscope_engine *e, uint64_t ns)
{
    for (unsigned i = 0; i < MSCOPE_SESSIONS; i++)
        if (e->sessions[i].id != 0)
            e->sessions[i].heard_ns += ns;
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        if (e->shadows[i].used)
            e->shadows[i].heard_ns += ns;
}
