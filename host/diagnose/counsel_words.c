/* counsel_words.c - the counsel about a table in sentences, and the arithmetic behind it */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "counsel.h"

/* -- sentences --------------------------------------------------------------------------------------- */

static void steps_words(double n, char *to, size_t cap)
{
    if (!(n < INFINITY))
        snprintf(to, cap, "never");
    else if (n >= 100 && n < 1e6)
        snprintf(to, cap, "%.0f steps", n < 1e4 ? n : 10 * round(n / 10));
    else
        snprintf(to, cap, "%.3g steps", n);
}

/* Runs of bands whose setting is the same to three digits: "3-5: 0.52, 6: 0.4". */
static void each_band(const mscope_counsel *c, const mscope_setting *s, int eta, FILE *to)
{
    const mscope_measured *m = &c->measured;

    for (size_t i = 0; i < m->bands;) {
        char value[32], next[32];
        size_t from = i;
        snprintf(value, sizeof value, "%.3g", eta ? s[i].eta : s[i].eps);
        do {
            i++;
            if (i < m->bands)
                snprintf(next, sizeof next, "%.3g", eta ? s[i].eta : s[i].eps);
        } while (i < m->bands && strcmp(value, next) == 0);
        if (from == i - 1)
            fprintf(to, "%s%u: %s", from > 0 ? ", " : "", m->number[from], value);
        else
            fprintf(to, "%s%u-%u: %s", from > 0 ? ", " : "", m->number[from], m->number[i - 1], value);
    }
}

static void setting_words(const mscope_counsel *c, enum mscope_plan_kind kind, const mscope_setting *of, FILE *to)
{
    const mscope_setting s = of[0];

    switch (kind) {
    case MSCOPE_PLAN_ETA_EACH:
        fprintf(to, "no momentum, eta by band ");
        each_band(c, of, 1, to);
        break;
    case MSCOPE_PLAN_ETA_EACH_MOMENTUM:
        fprintf(to, "beta %.6g, EMA-form eta by band ", 1 - s.eps);
        each_band(c, of, 1, to);
        break;
    case MSCOPE_PLAN_BETA_EACH:
        fprintf(to, "EMA-form eta %.4g, eps = 1 - beta by band ", s.eta);
        each_band(c, of, 0, to);
        break;
    case MSCOPE_PLAN_NOW:
    case MSCOPE_PLAN_BETA:
    case MSCOPE_PLAN_ETA:
    case MSCOPE_PLAN_SINGLE:
    case MSCOPE_PLANS:
        fprintf(to, "eta %.4g, beta %.6g (eps %.4g; heavy-ball lr %.4g)", s.eta, 1 - s.eps, s.eps, s.eta * s.eps);
        break;
    }
}

static void conflict_words(const mscope_counsel *c, FILE *to)
{
    const mscope_conflict *k = &c->conflict;

    if (k->cost >= 1) {
        fprintf(to, "  at this eta some band grows whatever the beta is: E = 1.\n");
        return;
    }
    fprintf(to, "  one beta for all bands costs C* = %.3f of their speed at this eta", k->cost);
    if (k->misfit >= 0.05)
        fprintf(to, ", the present beta %.3f: retuning beta alone, to eps %.3g, wins %.3f", k->cost_now, k->eps_best,
                k->misfit);
    if (c->price.flag)
        fprintf(to,
                ".\n  This is a conflict: with a beta for each band, at eta %.3g, the run would take %.3g times fewer "
                "steps than with the best single setting.\n",
                c->price.eta_own, c->price.gain_own);
    else
        fprintf(to,
                ".\n  This is no conflict: even with a beta for each band the run would need at best %.2f times fewer "
                "steps than with the best single setting.\n",
                c->price.gain_own);
}

static void known_words(const mscope_counsel *c, FILE *to)
{
    static const char *const error[] = { "", "how far gradients agree", "your reference" };
    const mscope_measured *m = &c->measured;
    double low = 0, all = 0;

    if (m->source == MSCOPE_ERROR_NONE)
        return;
    for (size_t i = 0; i < m->bands; i++) {
        const double x = m->band[i].weight * m->h1[i];
        low += x * m->R_low[i];
        all += x * m->R_high[i];
    }
    fprintf(to, "  by %s and |g|^2, between %.2g and %.2g of excess loss is left.\n", error[m->source], 0.5 * low,
            0.5 * all);
}

static void left_words(const mscope_stage *s, FILE *to)
{
    if (s->left_now < INFINITY && s->left_then < INFINITY)
        fprintf(to, "  by then %.3g %% of the present excess loss is left by the model, %.3g %% if nothing changes",
                100 * s->left_then, 100 * s->left_now);
    if (s->gain > 1 && s->gain < INFINITY)
        fprintf(to, ": %.3g times sooner", s->gain);
    fprintf(to, ".\n");
}

static void advice_words(const mscope_counsel *c, FILE *to)
{
    const mscope_stage *s = &c->stage;
    char steps[32];

    steps_words(s->steps, steps, sizeof steps);
    if (s->kind == MSCOPE_PLAN_NOW) {
        fprintf(to, "  advice: stay; %s. Look again after %s.\n", s->why, steps);
        return;
    }
    fprintf(to, "  advice, first stage: go to ");
    setting_words(c, s->kind, s->setting, to);
    fprintf(to, "; look again after %s.\n", steps);
    if (s->rescue)
        fprintf(to, "  this is to leave the neighbourhood of instability: %s.\n", s->why);
    else
        left_words(s, to);
    if (s->kind >= MSCOPE_PLAN_ETA_EACH && s->single.eta > 0)
        fprintf(to, "  with one eta and one beta for all: eta %.4g, beta %.6g (heavy-ball lr %.4g).\n", s->single.eta,
                1 - s->single.eps, s->single.eta * s->single.eps);
    else if (s->kind >= MSCOPE_PLAN_ETA_EACH)
        fprintf(to, "  with one eta and one beta for all: stay.\n");
    if (s->H_then > 0)
        fprintf(to, "  H of all that moves together goes from %.2f to %.2f.\n", s->H_now, s->H_then);
}

void mscope_counsel_say(const mscope_counsel *c, FILE *to)
{
    if (!c->possible) {
        fprintf(to, c->stays ? "  advice: stay; %s.\n" : "  no advice: %s.\n", c->measured.why);
        return;
    }
    mscope_bounds_say(&c->bounds, &c->measured, to);
    conflict_words(c, to);
    known_words(c, to);
    advice_words(c, to);
}

/* -- the arithmetic ---------------------------------------------------------------------------------- */

static void explain_bands(const mscope_counsel *c, FILE *to)
{
    const mscope_measured *m = &c->measured;
    const mscope_setting *then = c->stage.setting;

    fprintf(to, "\n  input of the maps, one row of each band, per step: h1 = P H1, excess = (P H2 - h1^2)/h1, noise = "
                "E|label noise|^2\n");
    fprintf(to, "  %4s %8s %9s %9s %9s %9s %9s | %9s %9s | %9s %9s\n", "band", "rows", "h1", "excess", "noise",
            "R at 0", "eta max", "rate now", "H now", "rate then", "H then");
    for (size_t i = 0; i < m->bands; i++) {
        const mscope_risk_band *b = &m->band[i];
        double h1 = 0, R = 0, noise = 0, excess = 0;
        for (int j = 0; j < b->groups; j++) {
            h1 += b->h1[j] / b->groups;
            R += b->R0[j];
            noise += b->noise2[j];
            excess += b->excess[j] / b->groups + b->share[j];
        }
        double top = mscope_risk_eta_max(b, m->now.eps);
        double rate = mscope_risk_rate(b, m->now), after = mscope_risk_rate(b, then[i]);
        fprintf(to, "  %4u %8.0f %9.3g %9.3g %9.3g %9.3g %9.3g | %9.3g %9.3g | %9.3g %9.3g\n", m->number[i], b->rows,
                h1, excess, noise, R, top, isnan(rate) ? -INFINITY : rate, m->now.eta / top,
                isnan(after) ? -INFINITY : after,
                then[i].eta / mscope_risk_eta_max(b, then[i].eps));
    }
}

static void explain_plans(const mscope_counsel *c, FILE *to)
{
    const mscope_advice *a = &c->advice;

    fprintf(to,
            "\n  no advice, it is beyond what was measured: where a walk may lead if the model held all the way\n"
            "  risk = sum over rows of h1 R = %.4g now, target %.4g; steps by powers of the exact map of one step:\n",
            a->risk, a->target);
    for (int k = 0; k < MSCOPE_PLANS; k++) {
        char n[32];
        steps_words(a->plan[k].steps, n, sizeof n);
        if (!(a->plan[k].steps < INFINITY) && k != MSCOPE_PLAN_NOW) {
            fprintf(to, "    %-24s not faster than now with every H <= 0.8\n",
                    mscope_plan_name((enum mscope_plan_kind)k));
            continue;
        }
        fprintf(to, "  %s %-24s %-14s ", (int)a->best == k ? "*" : " ", mscope_plan_name((enum mscope_plan_kind)k), n);
        if (c->doubted) {
            steps_words(c->uneven[k], n, sizeof n);
            fprintf(to, "(uneven rows: %s)  ", n);
        }
        fprintf(to, "H %.3g  ", a->plan[k].H);
        setting_words(c, (enum mscope_plan_kind)k, a->plan[k].setting, to);
        fputc('\n', to);
    }
    if (a->best != MSCOPE_PLAN_NOW)
        fprintf(to, "    (* the first in this order within 3 %% of the fastest, if it is 3 %% better than now in both "
                    "readings)\n");
}

static void explain_batch(const mscope_counsel *c, FILE *to)
{
    mscope_batch_plan plan[MSCOPE_BATCH_PLANS];
    int best = mscope_advise_batch(&c->measured.model, c->advice.target, plan);

    fprintf(to, "\n  other batches, one eta and one beta retuned (gradient noise goes as 1/B; the loss is a mean over "
                "the batch):\n");
    for (int k = 0; k < MSCOPE_BATCH_PLANS; k++) {
        char n[32];
        steps_words(plan[k].steps, n, sizeof n);
        if (plan[k].steps < INFINITY)
            fprintf(to, "    B %-10.4g %-14s %.3g samples  eta %.4g, eps %.4g%s\n", plan[k].factor * c->measured.batch,
                    n, plan[k].samples * c->measured.batch, plan[k].setting.eta, plan[k].setting.eps,
                    k == best ? "  <- largest within a tenth of the fewest samples" : "");
        else
            fprintf(to, "    B %-10.4g %s\n", plan[k].factor * c->measured.batch, n);
    }
}

static void explain_rules(const mscope_counsel *c, FILE *to)
{
    mscope_rules r;
    char a[32], b[32];

    mscope_advise_rules(&c->measured.model, c->measured.now, c->advice.target, &r);
    steps_words(r.two_thirds_steps, a, sizeof a);
    steps_words(r.critical_steps, b, sizeof b);
    fprintf(to, "\n  for reference, no advice:\n");
    fprintf(to,
            "    two-thirds rule, 1 - beta = C eta^(2/3) (label noise along a manifold of minima; heavy-ball eta, C "
            "unknown,\n"
            "    here 1): eps %.4g, %s\n",
            r.two_thirds_eps, a);
    fprintf(to, "    critical damping of each band's mean, eps = min(1, 4 eta h1) at the present eta: %s\n", b);
}

void mscope_counsel_explain(const mscope_counsel *c, FILE *to)
{
    if (!c->possible)
        return;
    fprintf(to, "\n  occupancy (descriptive, it predicts nothing):");
    for (int k = 0, any = 0; k <= MSCOPE_REGIME_UNSTABLE; k++)
        if (c->rows[k] > 0)
            fprintf(to, "%s %s %.0f %% of updates, %.0f %% of rows", any++ ? "," : "",
                    mscope_regime_name((enum mscope_regime)k), 100 * c->activity[k], 100 * c->rows[k]);
    fputc('\n', to);
    explain_bands(c, to);
    fprintf(
        to,
        "\n  conflict: r_i(beta) = -ln radius of band i's map, E(beta) = sum of activity share times 1 - r_i/max r_i\n"
        "    at eta %.4g: E(now) %.3f, C* = min E = %.3f at eps %.3g, difference %.3f\n",
        c->measured.now.eta, c->conflict.cost_now, c->conflict.cost, c->conflict.eps_best, c->conflict.misfit);
    if (c->price.have_own)
        fprintf(to, "    at eta %.4g: C* = %.3f at eps %.3g; a beta for each band wins %.3f times (flag above %.2f)\n",
                c->price.eta_own, c->price.own.cost, c->price.own.eps_best, c->price.gain_own, MSCOPE_PRICE_FLAG);
    explain_plans(c, to);
    explain_batch(c, to);
    explain_rules(c, to);
}
