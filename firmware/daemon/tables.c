/* tables.c - which tables exist, whose they are, and what a HELLO does to them; protocol/README.md, "Tables" */
#include "engine.h"

#include <stdio.h>
#include <string.h>

#include <sys/mman.h>

#include "protocol/fields.h"
#include "log.h"
#include "mapped.h"

static const char *const states[] = { "f32", "mixed", "f64" };
static const char *const forms[] = { "ema", "torch" };

mscope_shadow *mscope_shadow_find(mscope_engine *e, uint64_t session, uint32_t handle)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        mscope_shadow *s = &e->shadows[i];
        if (s->used && s->attached && s->session == session && s->handle == handle)
            return s;
    }
    return NULL;
}

static mscope_shadow *find_name(mscope_engine *e, const char *name)
{
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        if (e->shadows[i].used && strcmp(e->shadows[i].hello.table, name) == 0)
            return &e->shadows[i];
    return NULL;
}

static mscope_table_config config_of(const mscope_engine *e, const mscope_hello *h)
{
    return (mscope_table_config){
        .rows = h->rows,
        .dim = h->dim,
        .state = (enum mscope_state)h->state,
        .form = (enum mscope_form)h->form,
        .nesterov = h->nesterov,
        .reference = h->reference[0] != '\0',
        .capacity = h->capacity,
        .history = e->cfg.history,
        .acf_rows = h->acf_rows,
        .kernel = e->cfg.kernel,
    };
}

static int same_shape(const mscope_hello *x, const mscope_hello *y)
{
    return x->rows == y->rows && x->dim == y->dim && x->capacity == y->capacity && x->state == y->state &&
           x->form == y->form && x->nesterov == y->nesterov && x->acf_rows == y->acf_rows &&
           (x->reference[0] != '\0') == (y->reference[0] != '\0');
}

/* Where the parts of a table's one mapping begin: core, rows, counts, values, momenta. */
typedef struct layout {
    size_t rows, counts, values, momenta, len;
    uint32_t chunk;
} layout;

static layout layout_of(const mscope_hello *h, size_t core)
{
    size_t list = ((size_t)h->capacity * 4 + 63) & ~(size_t)63;
    size_t value = h->state == MSCOPE_STATE_F64 ? 8 : 4, m = h->state == MSCOPE_STATE_F32 ? 4 : 8;
    uint32_t few = 65536 / h->dim + 1;
    layout l = { .chunk = few < h->rows ? few : h->rows };

    if (l.chunk < h->capacity)
        l.chunk = h->capacity;
    l.rows = (core + 63) & ~(size_t)63;
    l.counts = l.rows + list;
    l.values = l.counts + list;
    l.momenta = l.values + (((size_t)l.chunk * h->dim * value + 63) & ~(size_t)63);
    l.len = l.momenta + (size_t)l.chunk * h->dim * m;
    return l;
}

static int check_part(const mscope_engine *e, const mscope_hello *h, mscope_refusal *why)
{
    uint64_t entry = (uint64_t)h->dim * (h->state == MSCOPE_STATE_F64 ? 8 : 4);
    char range[64];

    if (entry < 8)
        entry = 8;
    if (h->capacity <= e->cfg.max_part / entry)
        return 0;
    (void)snprintf(range, sizeof range, "1..%llu for this dim (--max-part)",
                   (unsigned long long)(e->cfg.max_part / entry));
    return mscope_refusal_set(why, MSCOPE_EINVAL, "capacity", range, "a full STEP would not fit one part", "%u",
                              h->capacity);
}

static int place(const mscope_engine *e, const mscope_hello *h, uint64_t credit, layout *l, mscope_refusal *why)
{
    mscope_table_config cfg = config_of(e, h);
    size_t core = mscope_table_mem(&cfg);
    uint64_t free_bytes = e->cfg.max_bytes - (e->bytes - credit);
    char range[64];

    if (core == 0)
        return mscope_refusal_set(why, MSCOPE_EINVAL, "rows x dim", "a table this machine can address",
                                  "the table's size overflows", "%u x %u", h->rows, h->dim);
    *l = layout_of(h, core);
    if (l->len <= free_bytes && core < SIZE_MAX / 2)
        return 0;
    (void)snprintf(range, sizeof range, "%llu bytes free of %llu (--max-bytes)", (unsigned long long)free_bytes,
                   (unsigned long long)e->cfg.max_bytes);
    return mscope_refusal_set(why, MSCOPE_ENOMEM, "rows", range, "the table is too large for this daemon",
                              "%u rows, %zu bytes", h->rows, l->len);
}

/* Memory for a new table, all zeros: a file where that is wanted, else anonymous. */
static void *map_table(const mscope_engine *e, const mscope_hello *hello, size_t len, mscope_map_file *file, mscope_refusal *why)
{
    void *mem;

    if (e->cfg.map_dir != NULL && len > e->cfg.map_above)
        return mscope_mapped_open(e, hello, len, file, why) == 0 ? (char *)file->base + (file->len - len) : NULL;
    mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED) {
        (void)mscope_refusal_set(why, MSCOPE_ENOMEM, "rows", "memory the system can give", "out of memory", "%u rows, %zu bytes",
                                 hello->rows, len);
        return NULL;
    }
    (void)madvise(mem, len, MADV_HUGEPAGE);          /* rows are visited at random: fewer page walks; a wish, not a need */
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

int mscope_shadow_adopt(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello, void *mem, size_t mem_len)
{
    mscope_table_config cfg = config_of(e, hello);
    mscope_refusal why;
    layout l = { 0 };
    int err = place(e, hello, 0, &l, &why);

    if (!err && l.len != mem_len)
        err = MSCOPE_EPROTO;
    if (!err)
        err = mscope_table_adopt(&s->core, &cfg, mem, l.rows);
    if (err)
        return err;
    s->used = 1;
    s->hello = *hello;
    set_parts(e, s, mem, &l);
    return 0;
}

int mscope_shadow_open(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello, uint64_t credit,
                       mscope_refusal *why)
{
    mscope_table_config cfg = config_of(e, hello);
    mscope_table *core = NULL;
    mscope_map_file file = { 0 };
    layout l = { 0 };
    char *mem;
    int err = check_part(e, hello, why);

    if (!err)
        err = place(e, hello, credit, &l, why);
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
        return mscope_refusal_set(why, err, "table", "a shape the core takes", mscope_strerror(err), "%s", hello->table);
    }
    memset(s, 0, sizeof *s);
    s->used = 1;
    s->hello = *hello;
    s->core = core;
    s->map = file;
    set_parts(e, s, mem, &l);
    s->exact = hello->fresh;
    s->published = hello->step;
    e->bytes += l.len;
    return 0;
}

void mscope_shadow_close(mscope_engine *e, mscope_shadow *s)
{
    if (!s->used)
        return;
    e->bytes -= s->mem_len;
    if (s->map.fd > 0)
        mscope_mapped_drop(e, s);
    else
        (void)munmap(s->mem, s->mem_len);
    memset(s, 0, sizeof *s);
}

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
    if (!s->exact)
        return;
    s->exact = 0;
    s->changed = 1;
    mscope_engine_alert(e, s, "inexact", "%llu steps of table %s never arrived; waiting for SYNC",
                        (unsigned long long)lost, s->hello.table);
}

/* -- HELLO ------------------------------------------------------------------------------------ */

/* A name held by a live session is not for taking. */
static int check_holder(mscope_engine *e, const mscope_shadow *s, uint64_t session, uint64_t now_ns,
                        mscope_refusal *why)
{
    const mscope_session *holder;
    char range[64];
    double silent;

    if (s == NULL || s->session == session || !s->attached)
        return 0;
    holder = mscope_session_find(e, s->session);
    if (mscope_session_silent(e, holder, now_ns))
        return 0;
    silent = (double)(now_ns - holder->heard_ns) / 1e9;
    (void)snprintf(range, sizeof range, "a free name, or its holder silent for %.3g s",
                   (double)e->cfg.takeover_ns / 1e9);
    return mscope_refusal_set(why, MSCOPE_EBUSY, "table", range, "another trainer holds a table of this name",
                              "%.20s, heard %.3g s ago", s->hello.table, silent);
}

/* A free place, or that of the table idle longest among those whose owner left or fell silent for the takeover time. */
static mscope_shadow *free_slot(mscope_engine *e, uint64_t session, uint64_t now_ns, mscope_refusal *why)
{
    mscope_shadow *idle = NULL;
    char range[64];

    for (uint32_t i = 0; i < e->cfg.max_tables; i++) {
        mscope_shadow *s = &e->shadows[i];
        if (!s->used)
            return s;
        if (s->attached && (s->session == session || !mscope_session_silent(e, mscope_session_find(e, s->session), now_ns)))
            continue;
        if (idle == NULL || s->heard_ns < idle->heard_ns)
            idle = s;
    }
    if (idle != NULL)
        return idle;
    (void)snprintf(range, sizeof range, "at most %u tables (--max-tables)", e->cfg.max_tables);
    (void)mscope_refusal_set(why, MSCOPE_ENOMEM, "table", range, "every place for a table is taken", "%u tables",
                             e->cfg.max_tables);
    return NULL;
}

/* The last records of a table go out before another one takes its place. */
static void make_room(mscope_engine *e, mscope_shadow *s, const char *newcomer, uint64_t now_ns)
{
    double idle = (double)(now_ns - s->heard_ns) / 1e9;

    s->changed |= s->attached;
    s->attached = 0;
    mscope_shadow_publish_last(e, s);
    mscope_engine_alert(e, s, "dropped", "table %s of '%.40s', idle for %.3g s, makes room for %s: all %u places were taken",
                        s->hello.table, s->hello.client, idle, newcomer, e->cfg.max_tables);
}

static int make(mscope_engine *e, mscope_shadow *at, const mscope_hello *hello, uint64_t now_ns, mscope_refusal *why)
{
    mscope_shadow fresh;
    int err = mscope_shadow_open(e, &fresh, hello, at->used ? at->mem_len : 0, why);

    if (err)
        return err;
    if (at->used && strcmp(at->hello.table, hello->table) == 0) {
        mscope_shadow_publish_last(e, at);
        fresh.lost = at->lost;               /* counters of a name live as long as the daemon */
        fresh.refused = at->refused;
        fresh.syncs = at->syncs;
        mscope_log(MSCOPE_LOG_WARN, "engine", "table %s starts over: another shape, or a trainer that began again",
                   hello->table);
    } else if (at->used)
        make_room(e, at, hello->table, now_ns);
    mscope_shadow_close(e, at);
    *at = fresh;
    return 0;
}

/* The table stays, its owner changed: its rows are the old trainer's until SYNC says otherwise. */
static int change_owner(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello, mscope_refusal *why)
{
    uint64_t gap = hello->step - mscope_table_steps(s->core);
    int err = gap > 0 ? mscope_table_seek(s->core, hello->step) : 0;

    if (err)
        return mscope_refusal_set(why, err, "step", "a step the table can move to", mscope_strerror(err), "%llu",
                                  (unsigned long long)hello->step);
    if (strcmp(s->hello.reference, hello->reference) != 0)
        s->referenced = 0;
    mscope_shadow_inexact(e, s, gap);
    return 0;
}

static void tell_attached(mscope_engine *e, const mscope_shadow *s, int taken)
{
    const mscope_hello *h = &s->hello;

    if (taken)
        mscope_engine_alert(e, s, "takeover", "'%s' takes table %s over from a trainer that fell silent", h->client,
                            h->table);
    mscope_engine_alert(e, s, "attached", "'%.60s': %u rows x %u, %s state, %s form, step %llu, kernel %s%s", h->client,
                        h->rows, h->dim, states[h->state], forms[h->form],
                        (unsigned long long)mscope_table_steps(s->core), mscope_table_kernel(s->core),
                        s->exact ? "" : "; inexact until SYNC");
}

int mscope_hello_apply(mscope_engine *e, const mscope_header *h, const mscope_hello *hello, uint64_t now_ns,
                       mscope_shadow **out, mscope_refusal *why)
{
    mscope_shadow *s = find_name(e, hello->table), *same = mscope_shadow_find(e, h->session, h->table);
    int own, keep, held, narrow, err;

    if (same != NULL && same != s)
        return mscope_refusal_set(why, MSCOPE_EBUSY, "table (handle)", "a handle this session does not use yet",
                                  "the handle already names another table", "%u", h->table);
    err = check_holder(e, s, h->session, now_ns, why);
    if (err)
        return err;
    own = s != NULL && s->session == h->session;
    held = s != NULL && !own && s->attached;
    keep = s != NULL && same_shape(&s->hello, hello) &&
           (own || (!hello->fresh && mscope_table_steps(s->core) <= hello->step &&
                    hello->step - mscope_table_steps(s->core) <= MSCOPE_GAP_MAX));
    if (s == NULL && (s = free_slot(e, h->session, now_ns, why)) == NULL)
        return why->code;
    err = !keep ? make(e, s, hello, now_ns, why) : own ? 0 : change_owner(e, s, hello, why);
    if (err)
        return err;
    own = own && keep && s->attached;
    narrow = hello->narrow && !(own && s->hello.narrow);
    s->changed |= s->hello.narrow != hello->narrow;
    s->hello = *hello;
    s->session = h->session;
    s->handle = h->table;
    s->attached = 1;
    s->heard_ns = now_ns;
    if (!own) {
        s->changed = 1;
        tell_attached(e, s, held);
    }
    if (narrow)
        mscope_engine_alert(e, s, "inexact", "the trainer keeps table %s in a narrower type than the shadow, which drifts "
                            "between SYNCs: never published as exact", s->hello.table);
    *out = s;
    return 0;
}
