/* shadow.c - see shadow.h */
#include "shadow.h"

#include <stdio.h>
#include <string.h>

#include <sys/mman.h>

#include "protocol/refusal.h"
#include "labels.h"
#include "mapped.h"
#include "pages.h"
#include "records.h"

mscope_shadow *mscope_shadow_find(mscope_engine *e, uint64_t session, uint32_t handle)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        mscope_shadow *s = &e->shadows[i];
        if (s->used && s->attached && s->session == session && s->handle == handle)
            return s;
    }
    return NULL;
}

static mscope_table_config config_of(const mscope_engine *e, const mscope_hello *h, uint32_t history)
{
    return (mscope_table_config){
        .rows = h->rows,
        .dim = h->dim,
        .state = (enum mscope_state)h->state,
        .form = (enum mscope_form)h->form,
        .nesterov = h->nesterov,
        .reference = h->reference[0] != '\0',
        .capacity = h->capacity,
        .history = history,
        .acf_rows = h->acf_rows,
        .kernel = e->cfg.kernel,
    };
}

/* Offsets in a table's one mapping: core, rows, counts, values, momenta. */
typedef struct layout {
    size_t rows, counts, values, momenta, len;
    uint32_t chunk;
} layout;

static layout layout_of(const mscope_hello *h, size_t core)
{
    size_t list = ((size_t)h->capacity * 4 + 63) & ~(size_t)63;
    size_t each = MSCOPE_FORM_READS(h->form) ? MSCOPE_READ_COLUMNS : h->dim;
    size_t value = h->state == MSCOPE_STATE_F64 ? 8 : 4, m = h->state == MSCOPE_STATE_F32 ? 4 : 8;
    uint32_t few = 65536 / h->dim + 1;
    layout l = { .chunk = few < h->rows ? few : h->rows };

    if (l.chunk < h->capacity)
        l.chunk = h->capacity;
    l.rows = (core + 63) & ~(size_t)63;
    l.counts = l.rows + list;
    l.values = l.counts + list;
    l.momenta = l.values + (((size_t)l.chunk * each * value + 63) & ~(size_t)63);
    l.len = l.momenta + (size_t)l.chunk * h->dim * m;
    return l;
}

static int check_part(const mscope_engine *e, const mscope_hello *h, mscope_refusal *why)
{
    uint64_t entry = (uint64_t)h->dim * (h->state == MSCOPE_STATE_F64 ? 8 : 4);
    char range[64];

    if (MSCOPE_FORM_READS(h->form))
        entry = MSCOPE_READ_COLUMNS * sizeof(double);
    if (entry < 8)
        entry = 8;
    if (h->capacity <= e->cfg.max_part / entry)
        return 0;
    (void)snprintf(range, sizeof range, "1..%llu for this dim (--max-part)",
                   (unsigned long long)(e->cfg.max_part / entry));
    return mscope_refusal_set(why, MSCOPE_EINVAL, "capacity", range,
                              "the values of a full STEP would be too large a part", "%u", h->capacity);
}

static int place(const mscope_engine *e, const mscope_hello *h, const mscope_table_config *cfg, uint64_t credit,
                 layout *l, mscope_refusal *why)
{
    size_t core = mscope_table_mem(cfg);
    uint64_t free_bytes = e->cfg.max_bytes - (e->bytes - credit);
    char range[64];

    if (core == 0)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "rows x dim", "a table that this machine can address",
                                  "the size of the table overflows", "%u x %u", h->rows, h->dim);
    *l = layout_of(h, core);
    if (l->len <= free_bytes && core < SIZE_MAX / 2)
        return 0;
    (void)snprintf(range, sizeof range, "%llu of %llu bytes are free (--max-bytes)", (unsigned long long)free_bytes,
                   (unsigned long long)e->cfg.max_bytes);
    return mscope_refusal_set(why, MSCOPE_ENOMEM, "rows", range, "the table is too large for this daemon",
                              "%u rows, %zu bytes", h->rows, l->len);
}

/* Memory for a new table, all zeros: a file where that is wanted, else anonymous. */
static void *map_table(const mscope_engine *e, const mscope_hello *hello, size_t len, mscope_map_file *file,
                       mscope_refusal *why)
{
    void *mem;

    if (e->cfg.map_dir != NULL && len > e->cfg.map_above)
        return mscope_mapped_open(e, hello, len, file, why) == 0 ? (char *)file->base + (file->len - len) : NULL;
    mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED) {
        (void)mscope_refusal_set(why, MSCOPE_ENOMEM, "rows", "memory that the system can give", "out of memory",
                                 "%u rows, %zu bytes", hello->rows, len);
        return NULL;
    }
    mscope_pages_large(mem, len);
    return mem;
}

static void set_parts(const mscope_engine *e, mscope_shadow *s, char *mem, const layout *l)
{
    s->mem = mem;
    s->mem_len = l->len;
    s->rows = (uint32_t *)(void *)(mem + l->rows);
    s->counts = (uint32_t *)(void *)(mem + l->counts);
    s->values = mem + l->values;
    s->momenta = mem + l->momenta;
    s->chunk = l->chunk;
    mscope_table_parallel(s->core, &e->cfg.parallel);
}

int mscope_shadow_adopt(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello, uint32_t history, void *mem,
                        size_t mem_len)
{
    mscope_table_config cfg = config_of(e, hello, history);
    mscope_refusal why;
    layout l = { 0 };
    int err = place(e, hello, &cfg, 0, &l, &why);

    if (!err && l.len != mem_len)
        err = MSCOPE_EPROTO;
    if (!err)
        err = mscope_table_adopt(&s->core, &cfg, mem, l.rows);
    if (err)
        return err;
    s->used = 1;
    s->hello = *hello;
    s->history = history;
    set_parts(e, s, mem, &l);
    return 0;
}

int mscope_shadow_open(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello, uint32_t history, uint64_t credit,
                       mscope_refusal *why)
{
    mscope_table_config cfg = config_of(e, hello, history);
    mscope_table *core = NULL;
    mscope_map_file file = { 0 };
    layout l = { 0 };
    char *mem;
    int err = check_part(e, hello, why);

    if (!err)
        err = place(e, hello, &cfg, credit, &l, why);
    if (err)
        return err;
    mem = map_table(e, hello, l.len, &file, why);
    if (mem == NULL)
        return why->code;
    cfg.zeroed = file.fd > 0 || !e->cfg.prefault;
    err = mscope_table_init(&core, &cfg, mem, l.rows);
    if (!err && hello->step > 0)
        err = mscope_table_seek(core, hello->step);
    if (err) {
        mscope_shadow gone = { .hello = *hello, .map = file };
        if (file.fd > 0)
            mscope_mapped_drop(e, &gone);
        else
            (void)munmap(mem, l.len);
        return mscope_refusal_set(why, err, "table", "a shape that the core accepts", mscope_strerror(err), "%s",
                                  hello->table);
    }
    memset(s, 0, sizeof *s);
    s->used = 1;
    s->hello = *hello;
    s->core = core;
    s->history = history;
    s->map = file;
    set_parts(e, s, mem, &l);
    s->exact = hello->fresh;
    s->other_m = !hello->fresh && hello->step > 0;       /* at step 0 nobody has momentum */
    s->published = s->doubted = hello->step;
    e->bytes += l.len;
    return 0;
}

void mscope_shadow_close(mscope_engine *e, mscope_shadow *s)
{
    if (!s->used)
        return;
    e->bytes -= s->mem_len;
    mscope_labels_forget(s);
    if (s->map.fd > 0)
        mscope_mapped_drop(e, s);
    else
        (void)munmap(s->mem, s->mem_len);
    memset(s, 0, sizeof *s);
}

/* -- owner and truth --------------------------------------------------------------------------- */

void mscope_shadow_detach(mscope_engine *e, mscope_shadow *s)
{
    if (!s->attached)
        return;
    s->attached = 0;
    s->changed = 1;
    mscope_engine_alert(e, s, "detached", "'%s' left table %s after step %llu", s->hello.client, s->hello.table,
                        (unsigned long long)mscope_table_steps(s->core));
}

void mscope_shadow_inexact(mscope_engine *e, mscope_shadow *s, uint64_t lost)
{
    s->lost += lost;
    e->count.lost_steps += lost;
    s->healed = 0;
    s->other_m = 1;
    s->doubted = mscope_table_steps(s->core);
    if (!s->exact)
        return;
    s->exact = 0;
    s->changed = 1;
    mscope_engine_alert(e, s, "inexact", "%llu steps of table %s never arrived: inexact until SYNC",
                        (unsigned long long)lost, s->hello.table);
}

void mscope_shadow_stepped(mscope_shadow *s, uint64_t step, int err)
{
    const uint64_t done = mscope_table_steps(s->core);
    const int exact = mscope_shadow_exact(s), not_finite = s->not_finite;

    if (err && (step <= done || step - done > MSCOPE_GAP_MAX))
        return;                              /* no step of a trainer that goes on from here */
    s->not_finite = err == MSCOPE_ENONFINITE;
    if (err)
        s->refused_step = step;
    s->changed |= mscope_shadow_exact(s) != exact || s->not_finite != not_finite;
}
