/* records.c - see records.h: which records leave when; fill.c has what stands in those of a table */
#include "records.h"

#include <math.h>
#include <stdio.h>
#include <stdarg.h>
#include <string.h>

#include "doors.h"
#include "fill.h"
#include "labels.h"
#include "log.h"
#include "reads.h"
#include "shadow.h"

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
        r->u.table.attached = strcmp(s->before, s->hello.table) == 0;
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

/* -- a table's records ------------------------------------------------------------------------ */

static void band_record(mscope_engine *e, const mscope_shadow *s, unsigned band, const mscope_band *b)
{
    mscope_record *rec = reserve(e, MSCOPE_REC_BAND);

    if (rec == NULL)
        return;
    mscope_fill_band(e, s, band, b, &rec->u.band);
    mscope_ring_commit(e->ring);
}

static void stability_record(mscope_engine *e, const mscope_shadow *s)
{
    mscope_record *rec = s->stability.probes > 0 ? reserve(e, MSCOPE_REC_STABILITY) : NULL;

    if (rec == NULL)
        return;
    mscope_fill_stability(e, s, &rec->u.stability);
    mscope_ring_commit(e->ring);
}

static void acf_record(mscope_engine *e, const mscope_shadow *s, unsigned band)
{
    mscope_record *rec;
    mscope_acf a;
    mscope_ema k = mscope_ema_of(s);

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
    const int reads = mscope_reads(s);
    mscope_record *rec = reserve(e, MSCOPE_REC_TABLE);
    mscope_rec_table *r;
    mscope_ema k = mscope_ema_of(s);
    int ref = mscope_has_reference(s);

    if (rec == NULL)
        return;
    r = &rec->u.table;
    (void)snprintf(r->table, sizeof r->table, "%s", s->hello.table);
    r->epoch = e->epoch;
    r->step = mscope_table_steps(s->core);
    r->rows = s->hello.rows;
    r->d = mscope_width_of(s);
    (void)snprintf(r->form, sizeof r->form, "%s", mscope_form_name(s));
    (void)snprintf(r->optimizer, sizeof r->optimizer, "%s", s->hello.optimizer);
    (void)snprintf(r->state, sizeof r->state, "%s", states[s->hello.state]);
    (void)snprintf(r->kernel, sizeof r->kernel, "%s", mscope_table_kernel(s->core));
    (void)snprintf(r->transport, sizeof r->transport, "%s", s->shm == 0 ? "none yet" : s->shm == 1 ? "zmq" : "shm");
    r->batch = s->stepped ? s->last.batch : NAN;
    r->eta = k.eta;
    r->eps = s->stepped ? s->last.eps : NAN;
    r->weight_decay = s->stepped && !reads ? s->last.weight_decay : NAN;
    r->decoupled_decay = s->stepped && !reads ? s->last.decoupled_decay : NAN;
    r->eps2 = s->stepped && reads ? s->last.decoupled_decay : NAN;
    r->R = ref ? t->R : NAN;
    r->V = t->V * k.scale * k.scale;
    r->C = ref ? t->C * k.scale : NAN;
    mscope_fill_source(s, r->r_source);
    r->silent = t->silent;
    (void)snprintf(r->stability, sizeof r->stability, "%s", s->covered);
    r->climb = reads ? NAN : mscope_climb_sum(&s->climb);
    r->climbing = s->climb.climbing;
    r->climb_band = s->climb.band;
    r->bands = t->bands;
    r->attached = s->attached && !s->away;
    r->exact = mscope_shadow_exact(s);
    r->overflowed = s->not_finite || !isfinite(t->V);
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

/* A row whose |m|^2 is not finite, as the readings or the updates since the last one found it; -1: they named none. It
 * spends the pulses, which have no more to say of such a table. */
static int64_t overflowed_row(mscope_shadow *s)
{
    mscope_pulse p;

    for (unsigned i = 0; i < MSCOPE_BANDS; i++) {
        if (!isfinite(s->top[i].v))
            return s->top[i].row;
        if (mscope_table_pulse(s->core, i, &p) == 0 && p.updates > 0.0 && !isfinite(p.top))
            return (int64_t)p.top_row;
    }
    return -1;
}

/* Finite gradients can still drive float32 rows to infinity: by a sum of duplicates, or a rate far too large. */
static void tell_overflow(mscope_engine *e, mscope_shadow *s, double V)
{
    const int now = !isfinite(V);

    if (now && !s->overflowed) {
        const int64_t row = overflowed_row(s);
        char first[48] = "", label[MSCOPE_LABEL_MAX + 4] = "";
        if (row >= 0)
            (void)snprintf(first, sizeof first, "row %lld", (long long)row);
        mscope_engine_alert(e, s, "overflow",
                            "%s%s%srows of table %s are not finite since step %llu: sums over them are null", first,
                            row >= 0 ? mscope_label_quoted(s, (uint32_t)row, label) : "",
                            row >= 0 ? " and perhaps other " : "", s->hello.table,
                            (unsigned long long)mscope_table_steps(s->core));
    }
    s->overflowed = now;
}

/* The window that closes now joins those before it. */
static void take_window(mscope_shadow *s, unsigned band, const mscope_band *b)
{
    const double learning = mscope_ratio(1.0, mscope_ema_of(s).eta * b->curvature.h1 * b->P);

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
            s->fisher_updates[i] += mscope_fisher_sum(&b.window, &s2);
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
    s->notes = 0;
    s->window_over = 1;
}

void mscope_shadow_window(mscope_shadow *s)
{
    if (!s->window_over)
        return;
    mscope_table_window_reset(s->core);
    memset(s->moved, 0, sizeof s->moved);
    s->window_over = 0;
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
    mscope_doors_count(&r->turned_away, &r->connections);
    r->state_saves = e->count.state_saves;
    r->interval = e->cfg.interval;
    set_timing(r, &e->timing);
    mscope_fill_text(r->realtime, e->cfg.realtime[0] != '\0' ? e->cfg.realtime : "off");
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
