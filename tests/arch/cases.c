/* cases.c - see cases.h */
#include "cases.h"

#include <string.h>

#define ROWS 24
#define WIDEST 37
#define MOST 13                      /* entries in a step */

typedef struct form {
    enum mscope_form form;
    int nesterov;
    double dampening;
} form;

static const form forms[] = { { MSCOPE_FORM_EMA, 0, 0 }, { MSCOPE_FORM_EMA, 1, 0 }, { MSCOPE_FORM_TORCH, 0, 0 },
                              { MSCOPE_FORM_TORCH, 0, 0.25 }, { MSCOPE_FORM_TORCH, 1, 0 } };
static const double decays[][2] = { { 0, 0 }, { 0.01, 0 }, { 0, 0.02 }, { 0.01, 0.005 } };     /* coupled, decoupled */
static const uint32_t dims[] = { 1, 2, 4, 5, 8, 16, 19, 32, WIDEST };
enum { STATES = 3, FORMS = 5, DECAYS = 4, REFERENCES = 2, SCHEDULES = 3,
       BUSY = STATES * FORMS * DECAYS * REFERENCES * SCHEDULES };
#define LONG_GAP 211                 /* the last case of each state is silent but for every such step */

typedef struct plan {
    const form *f;
    const double *decay;
    enum mscope_state state;
    unsigned schedule;
    int reference;
    uint32_t dim, steps, history;
    enum mscope_statistics statistics;
} plan;

size_t arch_cases(void)
{
    return (size_t)BUSY + STATES;
}

static plan plan_of(size_t i)
{
    plan p;

    p.steps = i < BUSY ? 240 : 6000;
    p.history = i < BUSY ? 64 : 2048;
    p.dim = dims[(i / STATES + i / 27) % (sizeof dims / sizeof *dims)];       /* every width with every state */
    p.statistics = i % 7 == 3   ? MSCOPE_STATISTICS_FLOAT
                   : i % 7 == 5 ? MSCOPE_STATISTICS_NONE
                                : MSCOPE_STATISTICS_DOUBLE;
    p.state = (enum mscope_state)(i % STATES);
    i /= STATES;
    p.schedule = (unsigned)(i % SCHEDULES);
    i /= SCHEDULES;
    p.reference = (int)(i % REFERENCES);
    i /= REFERENCES;
    p.decay = decays[i % DECAYS];
    p.f = &forms[i / DECAYS % FORMS];
    return p;
}

enum mscope_state arch_case_state(size_t number)
{
    return plan_of(number).state;
}

uint32_t arch_case_steps(size_t number)
{
    return plan_of(number).steps;
}

/* -- folding -------------------------------------------------------------------------------- */

uint64_t arch_fold(uint64_t hash, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        hash = (hash ^ (value & 255)) * 0x100000001b3u;
        value >>= 8;
    }
    return hash;
}

static void fold_f64(arch_run *r, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t u;

        if (!(x[i] - x[i] == 0.0))
            r->failed = "a value that is not finite";
        memcpy(&u, &x[i], sizeof u);
        r->hash = arch_fold(r->hash, u);
    }
}

static void fold_f32(arch_run *r, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u;

        memcpy(&u, &x[i], sizeof u);
        r->hash = arch_fold(r->hash, u);
    }
}

static void fold_vector(arch_run *r, const void *x, int f64)
{
    size_t n = (size_t)ROWS * mscope_table_cfg(r->t)->dim;

    if (f64)
        fold_f64(r, x, n);
    else
        fold_f32(r, x, n);
}

/* -- calls that must succeed ---------------------------------------------------------------- */

static int must(arch_run *r, int code, const char *what)
{
    if (code >= 0)
        return 0;
    r->failed = what;
    return -1;
}

static void fold_bands(arch_run *r)
{
    for (unsigned k = 0; k <= MSCOPE_BANDS; k++) {
        mscope_band b;
        mscope_acf a;

        if (must(r, mscope_table_band(r->t, k < MSCOPE_BANDS ? k : MSCOPE_BAND_SILENT, &b), "band"))
            return;
        r->hash = arch_fold(arch_fold(r->hash, b.updates), b.rows);
        fold_f64(r, (const double[]){ b.p, b.P, b.idle_share }, 3);
        if (mscope_table_cfg(r->t)->statistics != MSCOPE_STATISTICS_NONE)
            fold_f64(r, (const double[]){ b.R, b.V, b.C, b.R_err, b.V_err, b.C_err }, 6);
        else if (b.rows && (b.R == b.R || b.V_err == b.V_err))       /* NaN by contract, of bits that may differ */
            r->failed = "a sum that was never made";
        fold_f64(r, (const double[]){ b.window.updates, b.window.occurrences, b.window.s2, b.window.s2_updates,
                                      b.window.s2_occurrences, b.window.u, b.window.u2, b.window.u_updates, b.window.gm,
                                      b.window.gm2, b.window.gm_updates, b.curvature.samples, b.curvature.weight,
                                      b.curvature.h1, b.curvature.h1_var, b.curvature.h2, b.curvature.h2_var }, 17);
        if (k < MSCOPE_BANDS && mscope_table_acf(r->t, k, &a) == MSCOPE_OK) {
            r->hash = arch_fold(arch_fold(r->hash, a.references), a.stride);
            fold_f64(r, a.a, a.lags);
        }
    }
}

static void fold_rows(arch_run *r)
{
    const mscope_table_config *c = mscope_table_cfg(r->t);

    for (uint32_t i = 0; i < ROWS; i++) {
        mscope_table_row_info x;

        if (must(r, mscope_table_row(r->t, i, &x), "row"))
            return;
        r->hash = arch_fold(arch_fold(arch_fold(r->hash, x.active), x.last_active), x.band);
        fold_f64(r, (const double[]){ x.r, x.v, x.c, x.p, x.P }, 5);
    }
    fold_vector(r, mscope_table_theta(r->t), c->state == MSCOPE_STATE_F64);
    fold_vector(r, mscope_table_momentum(r->t), c->state != MSCOPE_STATE_F32);
}

/* -- input: integers, and float operations that are exact or rounded once --------------------- */

static uint64_t rng;

static uint64_t draw(void)
{
    rng ^= rng >> 12;
    rng ^= rng << 25;
    rng ^= rng >> 27;
    return rng * 2685821657736338717u;
}

/* Each step has its own stream, so a run continued from a snapshot sees the same. */
static void reseed(size_t number, uint32_t step)
{
    rng = (number + 1) * 0x9e3779b97f4a7c15u ^ ((uint64_t)step + 1) * 0xd1342543de82ef95u;
    rng = rng ? rng : 1;
    for (int i = 0; i < 4; i++)
        (void)draw();
}

static double spread(void)                   /* bell-shaped on (-2, 2), variance 1/3 */
{
    int64_t sum = 0;

    for (int i = 0; i < 4; i++)
        sum += (int64_t)(draw() >> 13) - ((int64_t)1 << 50);
    return (double)sum * 0x1p-51;
}

static double value(void)
{
    uint64_t odd = draw() % 131;

    if (odd == 0)
        return 0.0;
    return spread() * (odd == 1 ? 0x1p24 : odd == 2 ? 0x1p-130 : odd == 3 ? -0x1p-60 : 1.0);
}

/* n values in the type of an element. */
static void fill(void *to, size_t n, int f64)
{
    for (size_t i = 0; i < n; i++) {
        double x = value();

        if (f64)
            ((double *)to)[i] = x;
        else
            ((float *)to)[i] = (float)x;
    }
}

static mscope_step step_of(const plan *p, uint32_t k)
{
    mscope_step s = { 0.03125, 0.1, p->f->dampening, p->decay[0], p->decay[1], 4.0 };

    if (p->schedule == 1) {                  /* warm-up, then stairs; memory grows; the batch doubles */
        s.eta = k < 40 ? 0.1 * k / 40.0 : 0.1 / (double)(1 + k / 60);
        s.eps = 1.0 / (2.0 + k % 97);
        s.batch = k < 120 ? 8.0 : 16.0;
    } else if (p->schedule == 2) {           /* every edge: no momentum, no forgetting, no step, a memory of 1e7 */
        s.eps = k % 31 == 0 ? 1.0 : k % 37 < 5 ? 0.0 : k > 180 ? 1e-7 : 0.3;
        s.eta = k % 41 < 3 ? 0.0 : 0.05;
    }
    if (p->f->form == MSCOPE_FORM_TORCH)
        s.eta *= s.eps > 0.01 ? s.eps : 0.01;
    return s;
}

/* -- a life --------------------------------------------------------------------------------- */

int arch_open(arch_run *r, size_t number, const char *kernel, void *mem)
{
    plan p = plan_of(number);
    mscope_table_config cfg = { .rows = ROWS, .dim = p.dim, .state = p.state, .form = p.f->form,
                                .nesterov = p.f->nesterov, .reference = p.reference, .capacity = MOST,
                                .history = p.history, .acf_rows = 1, .statistics = p.statistics, .kernel = kernel };

    *r = (arch_run){ number, NULL, ARCH_HASH, NULL };
    return must(r, mscope_table_mem(&cfg) <= ARCH_MEM ? mscope_table_init(&r->t, &cfg, mem, ARCH_MEM) : MSCOPE_ENOMEM,
                "init");
}

/* What happens between steps now and then. */
static int sometimes(arch_run *r, const plan *p, uint32_t k)
{
    static double rows[ROWS * WIDEST];
    const uint32_t probed[3] = { k % ROWS, 1, k % ROWS };
    int f64 = p->state == MSCOPE_STATE_F64, err = 0;

    if (k == 1 && p->reference) {
        fill(rows, (size_t)ROWS * p->dim, f64);
        err = must(r, mscope_table_reference_set(r->t, 0, ROWS, rows), "reference");
    }
    if (!err && k == 90) {
        fill(rows, (size_t)5 * p->dim, f64);
        err = must(r, mscope_table_rows_set(r->t, 3, 5, rows, NULL), "rows");
    }
    if (!err && k % (p->steps < 1000 ? 23 : 1023) == 0) {
        fill(rows, (size_t)3 * p->dim, f64);
        err = must(r, mscope_table_probe(r->t, probed, rows, 3), "probe");
    }
    if (!err && k % 101 == 0 && p->steps < 1000)
        err = must(r, mscope_table_settle(r->t), "settle");
    if (!err && k == 200)
        err = must(r, mscope_table_seek(r->t, 100000), "seek");
    if (!err && k % 64 == 0)
        mscope_table_window_reset(r->t);
    return err;
}

static int one_step(arch_run *r, const plan *p, uint32_t k)
{
    static double grads[MOST * WIDEST];
    mscope_step s = step_of(p, k);
    uint32_t rows[MOST], counts[MOST];
    size_t n = (p->steps > 1000 ? k % LONG_GAP != 0 : k % 7 == 0) ? 0 : (size_t)(draw() % (MOST + 1));

    for (size_t i = 0; i < n; i++) {         /* a product of two uniforms: some rows often, some hardly ever */
        rows[i] = (uint32_t)(draw() % ROWS * (draw() % ROWS) / ROWS);
        counts[i] = (uint32_t)(1 + draw() % 3);
    }
    fill(grads, n * p->dim, p->state == MSCOPE_STATE_F64);
    if (k % 3 == 0 && must(r, mscope_table_touch(r->t, rows, n), "touch"))
        return -1;
    if (must(r, mscope_table_step_begin(r->t, &s), "begin") ||
        must(r, mscope_table_apply(r->t, rows, grads, k % 5 == 0 ? counts : NULL, n), "apply"))
        return -1;
    return must(r, mscope_table_step_end(r->t), "end");
}

int arch_steps(arch_run *r, uint32_t from, uint32_t to)
{
    plan p = plan_of(r->number);

    for (uint32_t k = from + 1; k <= to; k++) {
        reseed(r->number, k);
        if (sometimes(r, &p, k) || one_step(r, &p, k))
            return -1;
        if (k % (p.steps / 12) == 0)
            fold_bands(r);
        if (k % (p.steps / 6) == 0)
            fold_rows(r);
        if (r->failed)
            return -1;
    }
    return 0;
}

static int to_tape(void *ctx, const void *bytes, size_t len)
{
    arch_tape *t = ctx;

    if (len > t->cap - t->len)
        return MSCOPE_ENOMEM;
    memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
    return 0;
}

static int from_tape(void *ctx, void *bytes, size_t len)
{
    arch_tape *t = ctx;

    if (len > t->len - t->at)
        return MSCOPE_EPROTO;
    memcpy(bytes, t->bytes + t->at, len);
    t->at += len;
    return 0;
}

int arch_save(arch_run *r, arch_tape *tape)
{
    tape->len = 0;
    if (must(r, mscope_table_snapshot_write(r->t, to_tape, tape), "snapshot"))
        return -1;
    for (size_t i = 0; i < tape->len; i++)
        r->hash = (r->hash ^ tape->bytes[i]) * 0x100000001b3u;
    return 0;
}

int arch_load(arch_run *r, arch_tape *tape)
{
    tape->at = 0;
    return must(r, mscope_table_snapshot_read(r->t, from_tape, tape), "reading a snapshot");
}

int arch_whole(arch_run *r, size_t number, const char *kernel, void *mem, arch_tape *tape)
{
    uint32_t steps = arch_case_steps(number);
    uint64_t first;

    if (arch_open(r, number, kernel, mem) || arch_steps(r, 0, steps / 2) || arch_save(r, tape))
        return -1;
    first = r->hash;
    if (arch_open(r, number, kernel, mem) || arch_load(r, tape))
        return -1;
    r->hash = first;
    return arch_steps(r, steps / 2, steps) || arch_save(r, tape) ? -1 : 0;
}
