/* fill.c - see fill.h */
#include "fill.h"

#include <stdio.h>
#include <string.h>

#include "labels.h"
#include "reads.h"
#include "shadow.h"

mscope_ema mscope_ema_of(const mscope_shadow *s)
{
    double c = 1.0 - s->last.dampening;

    if (s->hello.form != MSCOPE_FORM_TORCH)
        return (mscope_ema){ s->stepped ? s->last.eta : NAN, 1.0 };
    if (!s->stepped || s->last.eps == 0.0)
        return (mscope_ema){ NAN, NAN };
    if (s->last.eps == 1.0)
        c = 1.0;
    return (mscope_ema){ s->last.eta * c / s->last.eps, c > 0.0 ? s->last.eps / c : NAN };
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

const char *mscope_form_name(const mscope_shadow *s)
{
    static const char *const forms[] = { "ema", "torch", "read", "frozen" };

    return forms[s->hello.form];
}

uint64_t mscope_width_of(const mscope_shadow *s)
{
    return mscope_reads(s) ? s->hello.width : s->hello.dim;
}

int mscope_has_reference(const mscope_shadow *s)
{
    return s->hello.reference[0] != '\0' && s->referenced == s->hello.rows;
}

void mscope_fill_text(char out[192], const char *text)
{
    (void)snprintf(out, 192, "%s", text);
}

void mscope_fill_source(const mscope_shadow *s, char out[192])
{
    if (mscope_reads(s))
        mscope_fill_text(out, "none: the optimizer is read and not followed");
    else if (s->hello.reference[0] == '\0')
        mscope_fill_text(out, "none: no reference was set");
    else if (!mscope_has_reference(s))
        mscope_fill_text(out, "none: the reference rows have not all arrived");
    else
        mscope_fill_text(out, s->hello.reference);
}

/* -- band ------------------------------------------------------------------------------------- */

static void set_window(mscope_rec_band *r, const mscope_window *w)
{
    r->g2 = mscope_ratio(w->s2, w->s2_occurrences);
    r->U = mscope_ratio(w->u, w->u_updates);
    r->U_se = mean_se(w->u, w->u2, w->u_updates);
    r->gm = mscope_ratio(w->gm, w->gm_updates);
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

double mscope_fisher_sum(const mscope_window *w, double *s2)
{
    *s2 = w->s2_occurrences > 0.0 ? w->s2 / w->s2_occurrences * w->occurrences : 0.0;
    return w->s2_occurrences > 0.0 ? w->updates : 0.0;
}

static void set_agreement(mscope_rec_band *r, const mscope_agree_sums *a)
{
    r->U_run_updates = mscope_agreement_mean(a, &r->U_run, &r->U_run_se);
    r->g2_run = mscope_ratio(a->s2, a->occurrences);
    r->g2_run_occurrences = a->occurrences;
}

/* From a probe; else the Fisher proxy H1 = batch mean(sum_i |g_i|^2)/d of this window or of the run; else unknown. */
static void set_curvature(mscope_rec_band *r, const mscope_shadow *s, const mscope_band *b)
{
    const mscope_curvature *c = &b->curvature;
    double s2, updates = mscope_fisher_sum(&b->window, &s2);

    r->H1 = r->H1_se = r->H2 = r->H2_se = NAN;
    r->h_samples = c->samples;
    r->h_weight = c->weight;
    r->h_memory = c->samples > 0.0 ? c->half_life : NAN;
    if (c->samples > 0.0) {
        r->H1 = c->h1;
        r->H2 = c->h2;
        r->H1_se = c->samples > 1.0 ? sqrt(c->h1_var / c->samples) : NAN;
        r->H2_se = c->samples > 1.0 ? sqrt(c->h2_var / c->samples) : NAN;
        mscope_fill_text(r->h_source, "probe");
        return;
    }
    if (!(updates > 0.0)) {
        s2 = s->fisher[r->band];
        updates = s->fisher_updates[r->band];
    }
    if (s->hello.nll && updates > 0.0) {
        r->H1 = s->last.batch * s2 / updates / s->hello.dim;
        r->h_updates = updates;
        mscope_fill_text(r->h_source, "fisher");
        return;
    }
    (void)snprintf(r->h_source, sizeof r->h_source, "none: %s, and %s",
                   s->unprobed ? "probes wait until the daemon has the trainer's momentum"
                   : s->probed ? "no probe has reached this band yet" : "no probe was sent",
                   mscope_reads(s) ? "an optimizer that is read has no other source"
                   : s->hello.nll ? "no gradient of a single sample was seen"
                                : "the loss is not declared a mean negative log likelihood");
}

double mscope_retention_of(const mscope_fade *c, double P, double eps)
{
    if (c->gaps > 0.0)
        return mscope_ratio(c->gaps, c->first);
    return eps > 0.0 ? (P + (1.0 - P) * eps) / eps : NAN;
}

static void set_clocks(mscope_rec_band *r, const mscope_fade *c)
{
    double independent = r->eps > 0.0 ? (r->P + (1.0 - r->P) * r->eps) / r->eps : NAN;

    r->gaps = c->gaps;
    r->fade = mscope_ratio(c->first, c->gaps);
    r->fade2 = mscope_ratio(c->second, c->gaps);
    r->retention = mscope_retention_of(c, r->P, r->eps);
    r->burst = r->retention / independent;
    r->learning = r->eta * r->H1 > 0.0 ? 1.0 / (r->eta * r->H1) : NAN;
    r->delta = r->retention / r->learning;
}

/* The second moment of an optimizer that is read, and the size of its updates. */
static void set_second(mscope_rec_band *r, const mscope_shadow *s, const mscope_band *b)
{
    const mscope_moved *moved = &s->moved[r->band];

    r->v = r->v_fade = r->v_retention = r->v_age = r->u = NAN;
    if (!mscope_reads(s))
        return;
    r->u = sqrt(mscope_ratio(moved->sum, moved->updates));
    r->u_updates = moved->updates;
    if (!(b->R > 0.0) && !(b->fade.theta2 > 0.0))
        return;
    r->v = mscope_ratio(b->R, b->rows);
    r->v_fade = mscope_ratio(b->fade.theta2, b->fade.gaps);
    r->v_retention = mscope_ratio(1.0, r->v_fade);
    r->v_age = mscope_ratio(r->v_retention, r->P);
}

/* -- stability -------------------------------------------------------------------------------- */

/* H along both directions and the larger of them. Returns why none is known, or NULL. */
static const char *read_stability(const mscope_shadow *s, mscope_read_H of[MSCOPE_DIRECTIONS], enum mscope_along *along)
{
    const double eta = mscope_ema_of(s).eta;
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
    r->noise_share = mscope_ratio(s->shares[k].noise[r->band], keeper->stability.whole[k][1]);
}

/* The label of a row of a table of this trainer. */
static const char *label_in(const mscope_engine *e, const mscope_shadow *s, const char *table, uint32_t row)
{
    for (uint32_t i = 0; table[0] != '\0' && i < e->cfg.max_tables; i++)
        if (e->shadows[i].used && e->shadows[i].session == s->session && strcmp(e->shadows[i].hello.table, table) == 0)
            return mscope_label_of(&e->shadows[i], row);
    return "";
}

void mscope_fill_stability(const mscope_engine *e, const mscope_shadow *s, mscope_rec_stability *r)
{
    const mscope_stability *j = &s->stability;
    mscope_read_H of[MSCOPE_DIRECTIONS];
    enum mscope_along k;
    const char *why;

    why = read_stability(s, of, &k);
    (void)snprintf(r->table, sizeof r->table, "%s", s->hello.table);
    r->epoch = e->epoch;
    r->step = mscope_table_steps(s->core);
    (void)snprintf(r->spans, sizeof r->spans, "%s", j->top[k].spans == MSCOPE_SPANS_ALL ? "all" : "tables");
    r->values = j->top[k].values;
    r->batch = s->last.batch;
    r->eta = mscope_ema_of(s).eta;
    r->eps = s->last.eps;
    r->H = of[k].H;
    r->H_se = of[k].se;
    mscope_fill_text(r->h_source, why != NULL ? why : "probe");
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
    r->outside_noise = mscope_ratio(j->outside[k][1], j->whole[k][1]);
    (void)snprintf(r->row_table, sizeof r->row_table, "%s", j->top_table[k]);
    r->row = j->top[k].top_row;
    r->row_share = j->top_table[k][0] != '\0' ? j->top[k].top_share : NAN;
    (void)snprintf(r->row_label, sizeof r->row_label, "%s", label_in(e, s, j->top_table[k], j->top[k].top_row));
}

void mscope_fill_band(const mscope_engine *e, const mscope_shadow *s, unsigned band, const mscope_band *b,
                      mscope_rec_band *r)
{
    mscope_ema k = mscope_ema_of(s);
    int ref = mscope_has_reference(s);

    (void)snprintf(r->table, sizeof r->table, "%s", s->hello.table);
    r->band = band;
    r->epoch = e->epoch;
    r->step = b->step;
    r->rows = b->rows;
    r->updates = b->updates;
    r->p = b->p;
    r->P = b->P;
    r->d = mscope_width_of(s);
    (void)snprintf(r->form, sizeof r->form, "%s", mscope_form_name(s));
    r->batch = s->stepped ? s->last.batch : NAN;
    r->eta = k.eta;
    r->eps = s->stepped ? s->last.eps : NAN;
    r->R = ref ? b->R : NAN;
    r->V = b->V * k.scale * k.scale;
    r->C = ref ? b->C * k.scale : NAN;
    mscope_fill_source(s, r->r_source);
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
    (void)snprintf(r->top_label, sizeof r->top_label, "%s", isnan(r->top) ? "" : mscope_label_of(s, s->top[band].row));
    (void)snprintf(r->steep_label, sizeof r->steep_label, "%s",
                   isnan(r->steep_row) ? "" : mscope_label_of(s, (uint32_t)r->steep_row));
    set_shares(e, s, r);
    set_second(r, s, b);
    r->idle_share = b->idle_share;
    r->exact = mscope_shadow_exact(s);
    r->lost_steps = s->lost;
}
