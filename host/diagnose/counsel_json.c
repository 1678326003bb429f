/* counsel_json.c - the counsel about a table as one JSON object */
#include <math.h>

#include "common/json.h"
#include "counsel.h"

static void number(FILE *to, const char *name, double x)
{
    if (isfinite(x))
        fprintf(to, ",\"%s\":%.12g", name, x);
    else
        fprintf(to, ",\"%s\":null", name);
}

static void settings(const mscope_counsel *c, const mscope_setting *s, FILE *to)
{
    fprintf(to, ",\"bands\":[");
    for (size_t i = 0; i < c->measured.bands; i++)
        fprintf(to, "%s{\"band\":%u,\"eta\":%.9g,\"eps\":%.9g}", i > 0 ? "," : "", c->measured.number[i], s[i].eta,
                s[i].eps);
    fputc(']', to);
}

/* The advice. */
static void stage(const mscope_counsel *c, FILE *to)
{
    const mscope_stage *s = &c->stage;

    number(to, "gain", s->gain);
    fprintf(to, ",\"advised\":\"%s\",\"why\":", s->kind == MSCOPE_PLAN_NOW ? "stay" : mscope_plan_name(s->kind));
    mscope_json_string(to, s->why);
    fprintf(to, ",\"stage\":{\"rescue\":%s", s->rescue ? "true" : "false");
    number(to, "look_again", s->steps);
    number(to, "left_now", s->left_now);
    number(to, "left_then", s->left_then);
    number(to, "worst", s->worst);
    number(to, "H_now", s->H_now);
    number(to, "H_then", s->H_then);
    number(to, "single_eta", s->single.eta > 0 ? s->single.eta : NAN);
    number(to, "single_eps", s->single.eta > 0 ? s->single.eps : NAN);
    settings(c, s->setting, to);
    fputc('}', to);
}

void mscope_counsel_json(const mscope_counsel *c, const char *table, FILE *to)
{
    static const char *const source[] = { "assumed", "agreement", "reference" };
    const mscope_advice *a = &c->advice;

    fprintf(to, "{\"table\":");
    mscope_json_string(to, table);
    fprintf(to, ",\"possible\":%s", c->possible ? "true" : "false");
    if (!c->possible) {
        fprintf(to, "%s,\"why\":", c->stays ? ",\"advised\":\"stay\"" : "");
        mscope_json_string(to, c->measured.why);
        fprintf(to, "}\n");
        return;
    }
    number(to, "eta", c->measured.now.eta);
    number(to, "eps", c->measured.now.eps);
    number(to, "fraction", c->fraction);
    number(to, "cost", c->conflict.cost);
    number(to, "cost_now", c->conflict.cost_now);
    number(to, "eps_best", c->conflict.eps_best);
    number(to, "eta_own", c->price.have_own ? c->price.eta_own : NAN);
    number(to, "cost_own", c->price.have_own ? c->price.own.cost : NAN);
    number(to, "gain_own", c->price.gain_own);
    fprintf(to, ",\"conflict\":%s", c->price.flag ? "true" : "false");
    number(to, "covered", c->measured.covered);
    fprintf(to, ",\"error\":\"%s\"", source[c->measured.source]);
    fprintf(to, ",\"occupancy\":{");
    for (int k = 0; k <= MSCOPE_REGIME_UNSTABLE; k++)
        fprintf(to, "%s\"%s\":{\"updates\":%.6g,\"rows\":%.6g}", k > 0 ? "," : "",
                mscope_regime_name((enum mscope_regime)k), c->activity[k], c->rows[k]);
    fputc('}', to);
    number(to, "steps_now", a->plan[MSCOPE_PLAN_NOW].steps);
    stage(c, to);
    fprintf(to, ",\"bounds\":");
    mscope_bounds_json(&c->bounds, &c->measured, to);
    fprintf(to, ",\"fastest\":\"%s\",\"plans\":[", mscope_plan_name(a->best));
    for (int k = 0; k < MSCOPE_PLANS; k++) {
        fprintf(to, "%s{\"plan\":\"%s\"", k > 0 ? "," : "", mscope_plan_name((enum mscope_plan_kind)k));
        number(to, "steps", a->plan[k].steps);
        number(to, "steps_uneven", c->doubted ? c->uneven[k] : NAN);
        number(to, "H", a->plan[k].H);
        settings(c, a->plan[k].setting, to);
        fputc('}', to);
    }
    fprintf(to, "]}\n");
}
