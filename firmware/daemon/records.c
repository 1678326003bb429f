/* records.c - see records.h: from the core's accounts of a table to records in EMA form
 *
 * Torch form: buffer buf, lr, c = 1 - dampening map to eta = lr c/eps, m = (eps/c) buf (protocol/README.md, "EMA
 * form"). With eps = 0, or c = 0, no EMA form exists and the momentum quantities are null.                     */
#include "records.h"

#include <math.h>
#include <stdio.h>
#include <stdarg.h>
#include <string.h>

#include "log.h"

typedef struct ema {
    double eta, scale;               /* m in EMA form = scale x native */
} ema;

static ema ema_of(const mscope_shadow *s)
{
    double c = 1.0 - s->last.dampening;

    if (s->hello.form == MSCOPE_FORM_EMA)
        return (ema){ s->stepped ? s->last.eta : NAN, 1.0 };
    if (!s->stepped || s->last.eps == 0.0)
        return (ema){ NAN, NAN };
    if (s->last.eps == 1.0)
        c = 1.0;
    return (ema){ s->last.eta * c / s->last.eps, c > 0.0 ? s->last.eps / c : NAN };
}

static double ratio(double a, double b)
{
    return b > 0.0 ? a / b : NAN;
}

/* Standard error of a mean from the sum, the sum of squares and the count. */
static double mean_se(double sum, double sum2, double n)
{
    double mean = sum / n, var;

    if (n < 2.0)
        return NAN;
    var = (sum2 / n - mean * mean) / (n - 1.0);
    return sqrt(var > 0.0 ? var : 0.0);
}

static int has_reference(const mscope_shadow *s)
{
    return s->hello.reference[0] != '\0' && s->referenced == s->hello.rows;
}

static void set_text(char out[192], const char *text)
{
    (void)snprintf(out, 192, "%s", text);
}

static void set_source(const mscope_shadow *s, char out[192])
{
    if (s->hello.reference[0] == '\0')
        set_text(out, "none: no reference was set");
    else if (!has_reference(s))
        set_text(out, "none: the reference rows have not all arrived");
    else
        set_text(out, s->hello.reference);
}

void mscope_shadow_dropped(mscope_engine *e, const mscope_shadow *s, mscope_shadow *fresh)
{
    e->untold += s->before[0] == '\0';
    memcpy(fresh->before, s->before[0] != '\0' ? s->before : s->hello.table, sizeof fresh->before);
}

/* Control records first; 0 when the ring is full before the last of them. */
static int tell_dropped(mscope_engine *e)
{
    for (uint32_t i = 0; i < e->cfg.max_tables && e->untold > 0; i++) {
        mscope_shadow *s = &e->shadows[i];
        mscope_record *r;
        if (s->before[0] == '\0')
            continue;
        if ((r = mscope_ring_reserve(e->ring)) == NULL)
            return 0;
        r->kind = (enum mscope_record_kind)MSCOPE_REC_DROPPED;
        memcpy(r->u.table.table, s->before, sizeof s->before);
        mscope_ring_commit(e->ring);
        s->before[0] = '\0';
        e->untold--;
    }
    return 1;
}

static mscope_record *reserve(mscope_engine *e, enum mscope_record_kind kind)
{
    mscope_record *r = tell_dropped(e) ? mscope_ring_reserve(e->ring) : NULL;

    if (r == NULL)
        return NULL;
    memset(r, 0, sizeof *r);
    r->kind = kind;
    return r;
}

/* -- band ------------------------------------------------------------------------------------- */

static void set_window(mscope_rec_band *r, const mscope_window *w)
{
    r->g2 = ratio(w->s2, w->s2_occurrences);
    r->U = ratio(w->u, w->u_updates);
    r->U_se = mean_se(w->u, w->u2, w->u_updates);
    r->gm = ratio(w->gm, w->gm_updates);
    r->gm_se = mean_se(w->gm, w->gm2, w->gm_updates);
    r->window_updates = w->gm_updates;
    r->g2_occurrences = w->s2_occurrences;
    r->U_updates = w->u_updates;
}

#define TENTH 1.2815515655446004     /* standard deviations of a normal law between its mean and its last tenth */

/* Rows one by one: the steepest, and how far apart they are. */
static void set_rows(mscope_rec_band *r, const mscope_curvature *c, uint32_t rows)
{
    double s = sqrt(log1p(c->spread > 0.0 ? c->spread : 0.0)), median = c->h1 * exp(-0.5 * s * s);

    r->H1_low = r->H1_high = r->steep_row = r->steep_H1 = r->steep_H2 = r->steep_se = NAN;
    if (c->spread >= 0.0 && c->h1 > 0.0) {
        r->H1_low = median * exp(-TENTH * s);
        r->H1_high = median * exp(TENTH * s);
    }
    if (!(c->steep_samples > 0.0) || rows < 2)
        return;
    r->steep_row = c->steep_row;
    r->steep_H1 = c->steep_h1;
    r->steep_H2 = c->steep_h2;
    r->steep_se = sqrt(c->steep_var / c->steep_samples);
    r->steep_samples = c->steep_samples;
}

/* sum_i |g_i|^2 over the updates of a window. Where an entry stands for several occurrences its single gradients are
 * not known: then those that are known stand for all. Returns the updates. */
static double fisher_sum(const mscope_window *w, double *s2)
{
    *s2 = w->s2_occurrences > 0.0 ? w->s2 / w->s2_occurrences * w->occurrences : 0.0;
    return w->s2_occurrences > 0.0 ? w->updates : 0.0;
}

static void set_agreement(mscope_rec_band *r, const mscope_agreement *a)
{
    r->U_run_updates = mscope_agreement_mean(a, &r->U_run, &r->U_run_se);
    r->g2_run = ratio(a->s2, a->occurrences);
    r->g2_run_occurrences = a->occurrences;
}

/* From a probe; else the Fisher proxy H1 = batch mean(sum_i |g_i|^2)/d of this window or of the run; else unknown. */
static void set_curvature(mscope_rec_band *r, const mscope_shadow *s, const mscope_band *b)
{
    const mscope_curvature *c = &b->curvature;
    double s2, updates = fisher_sum(&b->window, &s2);

    r->H1 = r->H1_se = r->H2 = r->H2_se = NAN;
    r->h_samples = c->samples;
    r->h_weight = c->weight;
    r->h_memory = c->samples > 0.0 ? c->half_life : NAN;
    if (c->samples > 0.0) {
        r->H1 = c->h1;
        r->H2 = c->h2;
        r->H1_se = c->samples > 1.0 ? sqrt(c->h1_var / c->samples) : NAN;
        r->H2_se = c->samples > 1.0 ? sqrt(c->h2_var / c->samples) : NAN;
        set_text(r->h_source, "probe");
        return;
    }
    if (!(updates > 0.0)) {
        s2 = s->fisher[r->band];
        updates = s->fisher_updates[r->band];
    }
    if (s->hello.nll && updates > 0.0) {
        r->H1 = s->last.batch * s2 / updates / s->hello.dim;
        r->h_updates = updates;
        set_text(r->h_source, "fisher");
        return;
    }
    (void)snprintf(r->h_source, sizeof r->h_source, "none: %s, and %s",
                   s->probed ? "no probe has reached this band yet" : "no probe was sent",
                   s->hello.nll ? "no gradient of a single sample was seen"
                                : "the loss is not declared a mean negative log likelihood");
}

double mscope_shadow_retention(const mscope_fade *c, double P, double eps)
{
    if (c->gaps > 0.0)
        return ratio(c->gaps, c->first);
    return eps > 0.0 ? (P + (1.0 - P) * eps) / eps : NAN;
}

double mscope_shadow_scale(const mscope_shadow *s)
{
    return ema_of(s).scale;
}

static void set_clocks(mscope_rec_band *r, const mscope_fade *c)
{
    double independent = r->eps > 0.0 ? (r->P + (1.0 - r->P) * r->eps) / r->eps : NAN;

    r->gaps = c->gaps;
    r->fade = ratio(c->first, c->gaps);
    r->fade2 = ratio(c->second, c->gaps);
    r->retention = mscope_shadow_retention(c, r->P, r->eps);
    r->burst = r->retention / independent;
    r->learning = r->eta * r->H1 > 0.0 ? 1.0 / (r->eta * r->H1) : NAN;
    r->delta = r->retention / r->learning;
}

/* -- stability -------------------------------------------------------------------------------- */

/* H along both directions and the larger of them. Returns why none is known, or NULL. */
static const char *read_stability(const mscope_shadow *s, mscope_read_H of[MSCOPE_DIRECTIONS], enum mscope_along *along)
{
    const double eta = ema_of(s).eta;
    const char *why[MSCOPE_DIRECTIONS];

    for (int k = 0; k < MSCOPE_DIRECTIONS; k++)
        why[k] = mscope_stability_read(&s->stability, (enum mscope_along)k, eta, s->last.eps, s->last.batch, &of[k]);
    *along = why[MSCOPE_TANGENT] == NULL && !(of[MSCOPE_POWER].H >= of[MSCOPE_TANGENT].H) ? MSCOPE_TANGENT
                                                                                         : MSCOPE_POWER;
    return why[*along];
}

/* The table that keeps the means which cover s; NULL: none does. */
static const mscope_shadow *keeper_of(const mscope_engine *e, const mscope_shadow *s)
{
    if (s->covered[0] == '\0')
        return NULL;
    if (strcmp(s->covered, s->hello.table) == 0)
        return s;
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        if (e->shadows[i].used && e->shadows[i].session == s->session &&
            strcmp(e->shadows[i].hello.table, s->covered) == 0)
            return &e->shadows[i];
    return NULL;
}

static void set_shares(const mscope_engine *e, const mscope_shadow *s, mscope_rec_band *r)
{
    const mscope_shadow *keeper = keeper_of(e, s);
    mscope_read_H of[MSCOPE_DIRECTIONS];
    enum mscope_along k;

    r->curvature_share = r->noise_share = NAN;
    if (keeper == NULL || read_stability(keeper, of, &k) != NULL)
        return;
    r->curvature_share = s->shares[k].curvature[r->band] / keeper->stability.whole[k][0];
    r->noise_share = ratio(s->shares[k].noise[r->band], keeper->stability.whole[k][1]);
}

static void stability_record(mscope_engine *e, mscope_shadow *s)
{
    const mscope_stability *j = &s->stability;
    mscope_record *rec = j->probes > 0 ? reserve(e, MSCOPE_REC_STABILITY) : NULL;
    mscope_read_H of[MSCOPE_DIRECTIONS];
    mscope_rec_stability *r;
    enum mscope_along k;
    const char *why;

    if (rec == NULL)
        return;
    why = read_stability(s, of, &k);
    r = &rec->u.stability;
    (void)snprintf(r->table, sizeof r->table, "%s", s->hello.table);
    r->epoch = e->epoch;
    r->step = mscope_table_steps(s->core);
    (void)snprintf(r->spans, sizeof r->spans, "%s", j->top[k].spans == MSCOPE_SPANS_ALL ? "all" : "tables");
    r->values = j->top[k].values;
    r->batch = s->last.batch;
    r->eta = ema_of(s).eta;
    r->eps = s->last.eps;
    r->H = of[k].H;
    r->H_se = of[k].se;
    set_text(r->h_source, why != NULL ? why : "probe");
    (void)snprintf(r->along, sizeof r->along, "%s", k == MSCOPE_POWER ? "power" : "tangent");
    r->curvature = of[k].curvature;
    r->curvature_se = of[k].curvature_se;
    r->sharpness = of[k].sharpness;
    r->noise = of[k].noise;
    r->noise_part = of[k].part;
    r->H_power = of[MSCOPE_POWER].H;
    r->H_power_se = of[MSCOPE_POWER].se;
    r->H_tangent = of[MSCOPE_TANGENT].H;
    r->H_tangent_se = of[MSCOPE_TANGENT].se;
    r->probes = j->probes;
    r->samples = of[k].samples;
    r->forgotten = j->forgotten;
    r->outside_curvature = j->outside[k][0] / j->whole[k][0];
    r->outside_noise = ratio(j->outside[k][1], j->whole[k][1]);
    (void)snprintf(r->row_table, sizeof r->row_table, "%s", j->top_table[k]);
    r->row = j->top[k].top_row;
    r->row_share = j->top_table[k][0] != '\0' ? j->top[k].top_share : NAN;
    mscope_ring_commit(e->ring);
}

static void band_record(mscope_engine *e, const mscope_shadow *s, unsigned band, const mscope_band *b)
{
    mscope_record *rec = reserve(e, MSCOPE_REC_BAND);
    mscope_rec_band *r;
    ema k = ema_of(s);
    int ref = has_reference(s);

    if (rec == NULL)
        return;
    r = &rec->u.band;
    (void)snprintf(r->table, sizeof r->table, "%s", s->hello.table);
    r->band = band;
    r->epoch = e->epoch;
    r->step = b->step;
    r->rows = b->rows;
    r->updates = b->updates;
    r->p = b->p;
    r->P = b->P;
    r->d = s->hello.dim;
    r->batch = s->stepped ? s->last.batch : NAN;
    r->eta = k.eta;
    r->eps = s->stepped ? s->last.eps : NAN;
    r->R = ref ? b->R : NAN;
    r->V = b->V * k.scale * k.scale;
    r->C = ref ? b->C * k.scale : NAN;
    set_source(s, r->r_source);
    r->r_bound = !ref ? NAN : b->R > 0.0 ? b->R_err / b->R : b->R_err == 0.0 ? 0.0 : NAN;
    set_window(r, &b->window);
    set_agreement(r, &s->agreement[band]);
    set_curvature(r, s, b);
    set_rows(r, &b->curvature, b->rows);
    set_clocks(r, &b->fade);
    r->growth = mscope_growth_rate(&s->growth[band]);
    r->growing = s->growth[band].growing;
    r->top = s->top[band].v > 0.0 ? s->top[band].v : NAN;
    r->top_row = s->top[band].row;
    r->top_growing = s->top_growth[band].growing;
    set_shares(e, s, r);
    r->idle_share = b->idle_share;
    r->exact = s->exact && !s->hello.narrow;
    r->lost_steps = s->lost;
    mscope_ring_commit(e->ring);
}

static void acf_record(mscope_engine *e, const mscope_shadow *s, unsigned band)
{
    mscope_record *rec;
    mscope_acf a;
    ema k = ema_of(s);

    if (mscope_table_acf(s->core, band, &a) != 0 || (rec = reserve(e, MSCOPE_REC_ACF)) == NULL)
        return;
    (void)snprintf(rec->u.acf.table, sizeof rec->u.acf.table, "%s", s->hello.table);
    rec->u.acf.band = band;
    rec->u.acf.epoch = e->epoch;
    rec->u.acf.step = mscope_table_steps(s->core);
    rec->u.acf.stride = a.stride;
    rec->u.acf.references = a.references;
    rec->u.acf.a.n = a.lags;
    for (uint32_t i = 0; i < a.lags; i++)
        rec->u.acf.a.at[i] = a.a[i] * k.scale * k.scale;
    mscope_ring_commit(e->ring);
}

/* -- table and daemon ------------------------------------------------------------------------- */

typedef struct totals {
    double R, V, C;
    uint32_t silent;
    mscope_list bands;
} totals;

static void table_record(mscope_engine *e, const mscope_shadow *s, const totals *t)
{
    static const char *const states[] = { "f32", "mixed", "f64" };
    mscope_record *rec = reserve(e, MSCOPE_REC_TABLE);
    mscope_rec_table *r;
    ema k = ema_of(s);
    int ref = has_reference(s);

    if (rec == NULL)
        return;
    r = &rec->u.table;
    (void)snprintf(r->table, sizeof r->table, "%s", s->hello.table);
    r->epoch = e->epoch;
    r->step = mscope_table_steps(s->core);
    r->rows = s->hello.rows;
    r->d = s->hello.dim;
    (void)snprintf(r->form, sizeof r->form, "%s", s->hello.form == MSCOPE_FORM_EMA ? "ema" : "torch");
    (void)snprintf(r->state, sizeof r->state, "%s", states[s->hello.state]);
    (void)snprintf(r->kernel, sizeof r->kernel, "%s", mscope_table_kernel(s->core));
    (void)snprintf(r->transport, sizeof r->transport, "%s", s->shm == 0 ? "none yet" : s->shm == 1 ? "zmq" : "shm");
    r->batch = s->stepped ? s->last.batch : NAN;
    r->eta = k.eta;
    r->eps = s->stepped ? s->last.eps : NAN;
    r->weight_decay = s->stepped ? s->last.weight_decay : NAN;
    r->decoupled_decay = s->stepped ? s->last.decoupled_decay : NAN;
    r->R = ref ? t->R : NAN;
    r->V = t->V * k.scale * k.scale;
    r->C = ref ? t->C * k.scale : NAN;
    set_source(s, r->r_source);
    r->silent = t->silent;
    (void)snprintf(r->stability, sizeof r->stability, "%s", s->covered);
    r->climb = mscope_climb_sum(&s->climb);
    r->climbing = s->climb.climbing;
    r->climb_band = s->climb.band;
    r->bands = t->bands;
    r->attached = s->attached;
    r->exact = s->exact && !s->hello.narrow;
    r->lost_steps = s->lost;
    r->refused_messages = s->refused;
    r->syncs = s->syncs;
    mscope_ring_commit(e->ring);
}

static void add(totals *t, const mscope_band *b)
{
    t->R += b->R;
    t->V += b->V;
    t->C += b->C;
}

/* Finite gradients can still drive float32 rows to infinity: by a sum of duplicates, or a rate far too large. */
static void tell_overflow(mscope_engine *e, mscope_shadow *s, double V)
{
    int now = !isfinite(V);

    if (now && !s->overflowed)
        mscope_engine_alert(e, s, "overflow",
                            "rows of table %s are not finite since step %llu: sums over them are null",
                            s->hello.table, (unsigned long long)mscope_table_steps(s->core));
    s->overflowed = now;
}

/* The window that closes now joins those before it. */
static void take_window(mscope_shadow *s, unsigned band, const mscope_band *b)
{
    const double learning = ratio(1.0, ema_of(s).eta * b->curvature.h1 * b->P);

    mscope_agreement_take(&s->agreement[band], b->step, &b->window, s->last.batch,
                          b->curvature.samples > 0.0 ? learning : NAN);
}

/* Are there updates of this window, or remembered gaps, of rows that have left the band? */
static int left_something(const mscope_band *b)
{
    return b->window.updates > 0.0 || b->fade.gaps >= 1.0;
}

void mscope_shadow_publish(mscope_engine *e, mscope_shadow *s, int regular)
{
    totals t = { 0 };
    mscope_band b;

    for (unsigned i = 0; i < MSCOPE_BANDS; i++) {
        if (mscope_table_band(s->core, i, &b) != 0)
            continue;
        if (b.rows > 0) {
            t.bands.at[t.bands.n++] = i;
            add(&t, &b);
        }
        if (regular && s->stepped)
            take_window(s, i, &b);
        if (b.rows > 0 || left_something(&b))
            band_record(e, s, i, &b);
        if (b.rows > 0)
            acf_record(e, s, i);
        if (regular) {
            double s2;
            s->fisher_updates[i] += fisher_sum(&b.window, &s2);
            s->fisher[i] += s2;
        }
    }
    if (mscope_table_band(s->core, MSCOPE_BAND_SILENT, &b) == 0) {
        add(&t, &b);
        t.silent = b.rows;
    }
    table_record(e, s, &t);
    stability_record(e, s);
    tell_overflow(e, s, t.V);
    s->changed = 0;
    if (!regular)
        return;
    s->published = mscope_table_steps(s->core);
    mscope_table_window_reset(s->core);
}

int mscope_shadow_moved(const mscope_shadow *s)
{
    return s->stepped && mscope_table_steps(s->core) != s->published;
}

void mscope_shadow_publish_last(mscope_engine *e, mscope_shadow *s)
{
    if ((mscope_shadow_moved(s) || s->changed) && mscope_table_resum(s->core) == 0)
        mscope_shadow_publish(e, s, mscope_shadow_moved(s));
}

static void set_timing(mscope_rec_daemon *r, mscope_timing *t)
{
    r->late_max = (double)t->late.window_ns / 1e9;
    r->late_worst = (double)t->late.ever_ns / 1e9;
    r->pause_max = (double)t->pause.window_ns / 1e9;
    r->pause_worst = (double)t->pause.ever_ns / 1e9;
    r->message_max = (double)t->message.window_ns / 1e9;
    r->message_worst = (double)t->message.ever_ns / 1e9;
    r->slice_max = (double)t->slice.window_ns / 1e9;
    r->slice_worst = (double)t->slice.ever_ns / 1e9;
    r->publish_time = (double)t->publish_ns / 1e9;
    t->late.window_ns = t->pause.window_ns = t->message.window_ns = t->slice.window_ns = t->publish_ns = 0;
}

void mscope_daemon_record(mscope_engine *e, uint64_t now_ns)
{
    mscope_record *rec = reserve(e, MSCOPE_REC_DAEMON);
    mscope_rec_daemon *r;

    if (rec == NULL)
        return;
    r = &rec->u.daemon;
    r->epoch = e->epoch;
    (void)snprintf(r->version, sizeof r->version, "%s", MSCOPE_VERSION);
    r->uptime = (double)(now_ns - e->start_ns) / 1e9;
    for (uint32_t i = 0; i < e->cfg.max_tables; i++)
        r->tables += e->shadows[i].used != 0;
    for (unsigned i = 0; i < MSCOPE_SESSIONS; i++)
        r->sessions += e->sessions[i].id != 0 && !e->sessions[i].left;
    r->messages_in = e->count.messages_in;
    r->bytes_in = e->count.bytes_in;
    r->steps_applied = e->count.steps_applied;
    r->refused_messages = e->count.refused_messages;
    r->duplicate_messages = e->count.duplicate_messages;
    r->lost_steps = e->count.lost_steps;
    r->records_out = atomic_load_explicit(&e->outside->records_out, memory_order_relaxed);
    r->records_dropped = atomic_load_explicit(&e->ring->dropped, memory_order_relaxed) +
                         atomic_load_explicit(&e->outside->unsent, memory_order_relaxed);
    r->replay_requests = atomic_load_explicit(&e->outside->replay_requests, memory_order_relaxed);
    r->replay_refused = atomic_load_explicit(&e->outside->replay_refused, memory_order_relaxed);
    r->state_saves = e->count.state_saves;
    r->interval = e->cfg.interval;
    set_timing(r, &e->timing);
    set_text(r->realtime, e->cfg.realtime[0] != '\0' ? e->cfg.realtime : "off");
    mscope_ring_commit(e->ring);
}

void mscope_engine_alert(mscope_engine *e, const mscope_shadow *s, const char *code, const char *format, ...)
{
    mscope_record *rec = reserve(e, MSCOPE_REC_ALERT);
    char text[192];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    for (size_t n = strlen(text); n > 0 && n == sizeof text - 1 && (text[n - 1] & 0x80);)
        text[--n] = '\0';                    /* a cut must not leave half a UTF-8 character */
    mscope_log(MSCOPE_LOG_INFO, "engine", "%s: %s%s%s", code, s ? s->hello.table : "", s ? ": " : "", text);
    if (rec == NULL)
        return;
    rec->u.alert.epoch = e->epoch;
    if (s != NULL) {
        (void)snprintf(rec->u.alert.table, sizeof rec->u.alert.table, "%s", s->hello.table);
        rec->u.alert.step = mscope_table_steps(s->core);
    }
    (void)snprintf(rec->u.alert.code, sizeof rec->u.alert.code, "%s", code);
    (void)snprintf(rec->u.alert.text, sizeof rec->u.alert.text, "%s", text);
    mscope_ring_commit(e->ring);
}
