/* shards.c - see shards.h */
#include "shards.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct pool {                /* pooled samples of several parts                             */
    double n, sum, sum2;
} pool;

/* A part's n samples from their mean and its standard error se^2 = (sum2/n - mean^2)/(n - 1); of one sample se is
 * unknown and needless. */
static void pool_in(pool *p, double n, double mean, double se)
{
    double spread = n >= 2.0 && se > 0.0 ? se * se * (n - 1.0) : 0.0;

    if (!(n > 0.0) || isnan(mean))
        return;
    p->n += n;
    p->sum += n * mean;
    p->sum2 += n * (spread + mean * mean);
}

static double pool_mean(const pool *p)
{
    return p->n > 0.0 ? p->sum / p->n : NAN;
}

static double pool_se(const pool *p)
{
    double mean = pool_mean(p), var = p->sum2 / p->n - mean * mean;

    return p->n < 2.0 ? NAN : sqrt((var > 0.0 ? var : 0.0) / (p->n - 1.0));
}

static double weighted(double sum, double weights)
{
    return weights > 0.0 ? sum / weights : NAN;
}

static void add(double *sum, double x)
{
    *sum = isnan(*sum) || isnan(x) ? NAN : *sum + x;
}

/* -- band ------------------------------------------------------------------------------------- */

static void band_windows(const mscope_rec_band *const *part, size_t n, mscope_rec_band *out)
{
    pool u = { 0 }, gm = { 0 };
    double g2 = 0.0, run = 0.0, run_se = 0.0, run_g2 = 0.0;

    for (size_t i = 0; i < n; i++) {
        const mscope_rec_band *b = part[i];
        if (b->g2_occurrences > 0.0) {
            g2 += b->g2 * b->g2_occurrences;
            out->g2_occurrences += b->g2_occurrences;
        }
        if (b->U_run_updates > 0.0) {
            run += b->U_run * b->U_run_updates;
            run_se = hypot(run_se, b->U_run_se * b->U_run_updates);
            out->U_run_updates += b->U_run_updates;
        }
        if (b->g2_run_occurrences > 0.0) {
            run_g2 += b->g2_run * b->g2_run_occurrences;
            out->g2_run_occurrences += b->g2_run_occurrences;
        }
        pool_in(&u, b->U_updates, b->U, b->U_se);
        pool_in(&gm, b->window_updates, b->gm, b->gm_se);
    }
    out->g2 = weighted(g2, out->g2_occurrences);
    out->U_run = weighted(run, out->U_run_updates);
    out->U_run_se = weighted(run_se, out->U_run_updates);
    out->g2_run = weighted(run_g2, out->g2_run_occurrences);
    out->U = pool_mean(&u);
    out->U_se = pool_se(&u);
    out->U_updates = u.n;
    out->gm = pool_mean(&gm);
    out->gm_se = pool_se(&gm);
    out->window_updates = gm.n;
}

typedef struct probed {              /* probe samples of several parts: sums of weights and of their squares */
    double w, w2, sum, sum2;
} probed;

/* (sum w)^2/sum w^2 = n gives a part's sum of squares. The standard error of one sample is not published, and is 0. */
static void probe_in(probed *p, double w, double n, double mean, double se)
{
    double var = se > 0.0 ? se * se * n : 0.0;

    p->w += w;
    p->w2 += w * w / n;
    p->sum += w * mean;
    p->sum2 += w * (var + mean * mean);
}

static double probed_number(const probed *p)
{
    return p->w2 > 0.0 ? p->w * p->w / p->w2 : 0.0;
}

static double probed_se(const probed *p)
{
    double mean = weighted(p->sum, p->w), var = p->sum2 / p->w - mean * mean, n = probed_number(p);

    return n < 1.0 + 1e-9 ? NAN : sqrt((var > 0.0 ? var : 0.0) / n);
}

/* Do the parts say what their samples weigh? Weights of old samples fade to 0. */
static int have_weights(const mscope_rec_band *const *part, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (part[i]->h_samples > 0.0 && part[i]->h_weight > 0.0)
            return 1;
    return 0;
}

static void band_curvature(const mscope_rec_band *const *part, size_t n, mscope_rec_band *out)
{
    const int weights = have_weights(part, n);
    probed h1 = { 0 }, h2 = { 0 };
    double fisher = 0.0, updates = 0.0;

    out->H1 = out->H1_se = out->H2 = out->H2_se = out->h_memory = NAN;
    for (size_t i = 0; i < n; i++) {
        const mscope_rec_band *b = part[i];
        if (b->h_samples > 0.0) {
            const double w = weights ? b->h_weight : b->h_samples;
            probe_in(&h1, w, b->h_samples, b->H1, b->H1_se);
            probe_in(&h2, w, b->h_samples, b->H2, b->H2_se);
            out->h_memory = fmin(out->h_memory, b->h_memory);
            memcpy(out->h_source, b->h_source, sizeof out->h_source);
        } else if (b->h_updates > 0.0) {
            fisher += b->H1 * b->h_updates;
            updates += b->h_updates;
        }
    }
    out->h_samples = probed_number(&h1);
    out->h_weight = weights ? h1.w : 0.0;
    if (h1.w > 0.0) {
        out->H1 = weighted(h1.sum, h1.w);
        out->H2 = weighted(h2.sum, h2.w);
        out->H1_se = probed_se(&h1);
        out->H2_se = probed_se(&h2);
        return;
    }
    out->h_updates = updates;
    out->H1 = weighted(fisher, updates);
    for (size_t i = 0; i < n && (i == 0 || updates > 0.0); i++)
        if (i == 0 || part[i]->h_updates > 0.0)
            memcpy(out->h_source, part[i]->h_source, sizeof out->h_source);
}

/* The steepest row of all parts, by its number within its part, and the widest range. */
static void band_rows(const mscope_rec_band *const *part, size_t n, mscope_rec_band *out)
{
    double most = -INFINITY;

    out->H1_low = out->H1_high = out->steep_row = out->steep_H1 = out->steep_H2 = out->steep_se = NAN;
    for (size_t i = 0; i < n; i++) {
        const mscope_rec_band *b = part[i];
        out->H1_low = fmin(out->H1_low, b->H1_low);
        out->H1_high = fmax(out->H1_high, b->H1_high);
        if (isnan(b->steep_row) || !(b->steep_H2 / b->steep_H1 > most))
            continue;
        most = b->steep_H2 / b->steep_H1;
        out->steep_row = b->steep_row;
        memcpy(out->steep_label, b->steep_label, sizeof out->steep_label);
        out->steep_H1 = b->steep_H1;
        out->steep_H2 = b->steep_H2;
        out->steep_se = b->steep_se;
        out->steep_samples = b->steep_samples;
    }
}

/* As the daemon makes them (firmware/daemon/records.c). */
static void band_clocks(const mscope_rec_band *const *part, size_t n, mscope_rec_band *out)
{
    double independent = out->eps > 0.0 ? (out->P + (1.0 - out->P) * out->eps) / out->eps : NAN, first = 0.0,
           second = 0.0;

    for (size_t i = 0; i < n; i++)
        if (part[i]->gaps > 0.0) {
            out->gaps += part[i]->gaps;
            first += part[i]->gaps * part[i]->fade;
            second += part[i]->gaps * part[i]->fade2;
        }
    out->fade = weighted(first, out->gaps);
    out->fade2 = weighted(second, out->gaps);
    out->retention = isnan(out->fade) ? independent : 1.0 / out->fade;
    out->burst = out->retention / independent;
}

/* The second moment of an optimizer that is read: v by rows, v_fade by gaps, u by the updates behind it. */
static void band_second(const mscope_rec_band *const *part, size_t n, mscope_rec_band *out)
{
    double v = 0.0, rows = 0.0, fade = 0.0, gaps = 0.0, u = 0.0;

    for (size_t i = 0; i < n; i++) {
        const mscope_rec_band *b = part[i];
        if (!isnan(b->v)) {
            v += b->v * (double)b->rows;
            rows += (double)b->rows;
        }
        if (!isnan(b->v_fade)) {
            fade += b->v_fade * b->gaps;
            gaps += b->gaps;
        }
        if (b->u_updates > 0.0) {
            u += b->u * b->u * b->u_updates;
            out->u_updates += b->u_updates;
        }
    }
    out->v = weighted(v, rows);
    out->v_fade = weighted(fade, gaps);
    out->v_retention = out->v_fade > 0.0 ? 1.0 / out->v_fade : NAN;
    out->v_age = weighted(out->v_retention, out->P);
    out->u = sqrt(weighted(u, out->u_updates));
}

static void set_missing(char out[192])
{
    (void)snprintf(out, 192, "none: a shard of the table is missing");
}

static void set_source(char out[192], const char *first, const char *next)
{
    if (strncmp(out, "none", 4) == 0 || strcmp(first, next) == 0)
        return;
    if (strncmp(next, "none", 4) == 0)
        (void)snprintf(out, 192, "%s", next);
    else
        (void)snprintf(out, 192, "%.90s; elsewhere %.80s", first, next);
}

static double bound_of(const mscope_rec_band *b)
{
    return b->R == 0.0 ? 0.0 : b->r_bound * b->R;
}

void mscope_shards_band(const mscope_rec_band *const *part, size_t n, int whole, mscope_rec_band *out)
{
    const mscope_rec_band *ahead = part[0];
    double p = 0.0, P = 0.0, idle = 0.0, rows = 0.0, bound = 0.0;

    memset(out, 0, sizeof *out);
    memcpy(out->table, part[0]->table, sizeof out->table);
    memcpy(out->r_source, part[0]->r_source, sizeof out->r_source);
    out->band = part[0]->band;
    out->d = part[0]->d;
    memcpy(out->form, part[0]->form, sizeof out->form);
    out->step = part[0]->step;
    out->growth = out->top = out->curvature_share = out->noise_share = NAN;
    out->exact = whole;
    for (size_t i = 0; i < n; i++) {
        const mscope_rec_band *b = part[i];
        ahead = b->step > ahead->step ? b : ahead;
        out->step = b->step < out->step ? b->step : out->step;
        out->epoch += b->epoch;              /* the sum changes when the epoch of any daemon does */
        out->rows += b->rows;
        out->updates += b->updates;
        out->lost_steps += b->lost_steps;
        out->exact &= b->exact;
        out->growing |= b->growing;
        out->top_growing |= b->top_growing;
        if (!isnan(b->top) && !(b->top < out->top)) {
            out->top = b->top;
            out->top_row = b->top_row;       /* its number in that part */
            memcpy(out->top_label, b->top_label, sizeof out->top_label);
        }
        if (!isnan(b->growth) && !(b->growth < out->growth))
            out->growth = b->growth;         /* of the part that grows most */
        out->curvature_share = fmax(out->curvature_share, b->curvature_share);       /* a NaN gives way */
        out->noise_share = fmax(out->noise_share, b->noise_share);
        rows += (double)b->rows;
        p += b->p * (double)b->rows;
        P += b->P * (double)b->rows;
        idle += b->idle_share * (double)b->rows;
        add(&out->R, b->R);
        add(&out->V, b->V);
        add(&out->C, b->C);
        add(&bound, bound_of(b));
        set_source(out->r_source, part[0]->r_source, b->r_source);
    }
    out->batch = ahead->batch;
    out->eta = ahead->eta;
    out->eps = ahead->eps;
    out->p = weighted(p, rows);
    out->P = weighted(P, rows);
    out->idle_share = weighted(idle, rows);
    out->r_bound = out->R > 0.0 ? bound / out->R : out->R == 0.0 && bound == 0.0 ? 0.0 : NAN;
    band_windows(part, n, out);
    band_curvature(part, n, out);
    band_rows(part, n, out);
    band_clocks(part, n, out);
    band_second(part, n, out);
    out->learning = out->eta * out->H1 > 0.0 ? 1.0 / (out->eta * out->H1) : NAN;
    out->delta = out->retention / out->learning;
    if (!whole) {
        out->R = out->V = out->C = out->r_bound = NAN;
        set_missing(out->r_source);
    }
}

/* -- table, autocorrelation, daemon ----------------------------------------------------------- */

static void union_in(mscope_list *into, const mscope_list *more)
{
    for (uint32_t i = 0; i < more->n; i++) {
        uint32_t at = 0;
        while (at < into->n && into->at[at] < more->at[i])
            at++;
        if ((at < into->n && into->at[at] == more->at[i]) || into->n == MSCOPE_ACF_LAGS)
            continue;
        memmove(&into->at[at + 1], &into->at[at], (into->n - at) * sizeof into->at[0]);
        into->at[at] = more->at[i];
        into->n++;
    }
}

void mscope_shards_table(const mscope_rec_table *const *part, size_t n, int whole, mscope_rec_table *out,
                         uint64_t *skew)
{
    const mscope_rec_table *ahead = part[0], *behind = part[0];

    for (size_t i = 1; i < n; i++) {
        ahead = part[i]->step > ahead->step ? part[i] : ahead;
        behind = part[i]->step < behind->step ? part[i] : behind;
    }
    *skew = ahead->step - behind->step;
    *out = *ahead;                           /* schedule, form, state and kernel */
    memcpy(out->r_source, part[0]->r_source, sizeof out->r_source);
    out->step = behind->step;
    out->R = out->V = out->C = 0.0;
    out->epoch = out->rows = out->silent = out->lost_steps = out->refused_messages = out->syncs = 0;
    out->bands.n = 0;
    out->attached = 1;
    out->exact = whole;
    for (size_t i = 0; i < n; i++) {
        const mscope_rec_table *t = part[i];
        out->epoch += t->epoch;
        out->rows += t->rows;
        out->silent += t->silent;
        out->lost_steps += t->lost_steps;
        out->refused_messages += t->refused_messages;
        out->syncs += t->syncs;
        out->attached &= t->attached;
        out->climbing |= t->climbing;
        out->overflowed |= t->overflowed;
        if (isnan(out->climb) || t->climb > out->climb) {    /* of the part that climbs most */
            out->climb = t->climb;
            out->climb_band = t->climb_band;
        }
        out->exact &= t->exact;
        add(&out->R, t->R);
        add(&out->V, t->V);
        add(&out->C, t->C);
        union_in(&out->bands, &t->bands);
        set_source(out->r_source, part[0]->r_source, t->r_source);
    }
    if (!whole) {
        out->R = out->V = out->C = NAN;
        set_missing(out->r_source);
    }
}

void mscope_shards_stability(const mscope_rec_stability *const *part, size_t n, mscope_rec_stability *out)
{
    const mscope_rec_stability *worst = part[0];

    for (size_t i = 1; i < n; i++)
        if (part[i]->H > worst->H || isnan(worst->H))
            worst = part[i];
    *out = *worst;
}

void mscope_shards_acf(const mscope_rec_acf *const *part, size_t n, mscope_rec_acf *out)
{
    uint64_t most = 0, stride = part[0]->stride;

    for (size_t i = 0; i < n; i++) {
        uint64_t references = 0;
        for (size_t k = 0; k < n; k++)
            references += part[k]->stride == part[i]->stride ? part[k]->references : 0;
        if (references > most) {
            most = references;
            stride = part[i]->stride;
        }
    }
    *out = *part[0];
    out->stride = stride;
    out->epoch = out->references = 0;
    out->a.n = MSCOPE_ACF_LAGS;
    memset(out->a.at, 0, sizeof out->a.at);
    for (size_t i = 0; i < n; i++) {
        const mscope_rec_acf *a = part[i];
        out->epoch += a->epoch;
        out->step = a->step < out->step ? a->step : out->step;
        if (a->stride != stride)
            continue;
        out->references += a->references;
        out->a.n = a->a.n < out->a.n ? a->a.n : out->a.n;
        for (uint32_t k = 0; k < a->a.n; k++)
            out->a.at[k] += (double)a->references * a->a.at[k];
    }
    for (uint32_t k = 0; k < out->a.n; k++)
        out->a.at[k] = weighted(out->a.at[k], (double)out->references);
}

static void most_of(double *most, double x)
{
    *most = x > *most ? x : *most;
}

void mscope_shards_daemon(const mscope_rec_daemon *const *part, size_t n, mscope_rec_daemon *out)
{
    *out = *part[0];
    for (size_t i = 1; i < n; i++) {
        const mscope_rec_daemon *d = part[i];
        out->epoch += d->epoch;
        out->uptime = d->uptime < out->uptime ? d->uptime : out->uptime;
        out->tables = d->tables > out->tables ? d->tables : out->tables;
        out->sessions += d->sessions;
        out->messages_in += d->messages_in;
        out->bytes_in += d->bytes_in;
        out->steps_applied += d->steps_applied;
        out->refused_messages += d->refused_messages;
        out->duplicate_messages += d->duplicate_messages;
        out->lost_steps += d->lost_steps;
        out->records_out += d->records_out;
        out->records_dropped += d->records_dropped;
        out->replay_requests += d->replay_requests;
        out->replay_refused += d->replay_refused;
        out->state_saves += d->state_saves;
        most_of(&out->interval, d->interval);
        most_of(&out->late_max, d->late_max);
        most_of(&out->late_worst, d->late_worst);
        most_of(&out->pause_max, d->pause_max);
        most_of(&out->pause_worst, d->pause_worst);
        most_of(&out->message_max, d->message_max);
        most_of(&out->message_worst, d->message_worst);
        most_of(&out->slice_max, d->slice_max);
        most_of(&out->slice_worst, d->slice_worst);
        out->publish_time += d->publish_time;
    }
}
