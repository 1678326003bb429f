/* schedules.c - the rules of schedules.h */
#include "schedules.h"

#include <math.h>
#include <string.h>

const mscope_bench_param mscope_bench_rule_params[] = {
    { "eta", 0.1, 0, 1e6, 0, "learning rate, EMA form (heavy-ball rate over 1 - beta); DANA: the authors' LRscalar" },
    { "eps", 0.1, 1e-9, 1, 0, "1 - beta" },
    { "warmup", 0.05, 0, 1, 0, "share of the run in which eta rises" },
    { "wsd_from", 0.8, 0, 1, 0, "share of the run after which eta falls" },
    { "C", 0.17, 1e-6, 1e6, 0, "two-thirds rule: 1 - beta = C eta_hb^(2/3)" },
    { "c_dim", 1, 1e-6, 1e6, 0, "dimension-adapted rule: 1 - beta = c/d" },
    { "trace", 1, 1e-9, 1e12, 0, "DANA: trace of the data covariance" },
    { "dana_alpha", 1, 0.01, 100, 0, "DANA: exponent of the spectrum (the authors' alpha)" },
    { "zeta", 0.5, 0, 100, 0, "DANA: exponent of the target (the authors' beta)" },
    { "times", 1, 0, 1e6, 0, "recorded: times the eta of the recording" },
    { NULL, 0, 0, 0, 0, NULL },
};

static double par(const mscope_bench_schedule *s, enum mscope_bench_rule_param i)
{
    return s->param[i];
}

static void ema(double eta, double eps, mscope_bench_rates *out)
{
    *out = (mscope_bench_rates){ .eta = eta, .eps = eps, .gain = eps };
}

static void sgd(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    (void)t;
    ema(par(s, MSCOPE_RULE_ETA), 1, out);
}

static void constant(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    (void)t;
    ema(par(s, MSCOPE_RULE_ETA), par(s, MSCOPE_RULE_EPS), out);
}

static void nesterov(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    constant(s, t, out);
    out->nesterov = 1;
}

/* Rises from 1/(warm steps) to 1. */
static double rise(const mscope_bench_schedule *s, double t)
{
    const double warm = par(s, MSCOPE_RULE_WARMUP) * s->steps;
    return warm > 0 ? fmin(1, (t + 1) / warm) : 1;
}

static void scaled(const mscope_bench_schedule *s, double f, mscope_bench_rates *out)
{
    ema(par(s, MSCOPE_RULE_ETA) * f, par(s, MSCOPE_RULE_EPS), out);
}

static void warmup(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    scaled(s, rise(s, t), out);
}

static double clamp01(double x)
{
    return fmin(1, fmax(0, x));
}

static void cosine(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    const double warm = par(s, MSCOPE_RULE_WARMUP) * s->steps, left = fmax(1, s->steps - warm);
    const double v = clamp01((t - warm) / left);
    scaled(s, t < warm ? rise(s, t) : 0.5 * (1 + cos(3.14159265358979323846 * v)), out);
}

static void step_decay(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    scaled(s, pow(0.5, floor(8 * fmin(t / s->steps, 1))), out);
}

static void inv_t(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    scaled(s, 1 / (1 + 20 * t / s->steps), out);
}

static double past(const mscope_bench_schedule *s, double t)
{
    const double from = par(s, MSCOPE_RULE_WSD_FROM) * s->steps;
    return clamp01((t - from) / fmax(1, s->steps - from));
}

static void wsd(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    scaled(s, rise(s, t) * (1 - past(s, t)), out);
}

static void wsd_sqrt(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    scaled(s, rise(s, t) * (1 - sqrt(past(s, t))), out);
}

static void two_thirds(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    const double eta = par(s, MSCOPE_RULE_ETA), C = par(s, MSCOPE_RULE_C23);
    (void)t;
    ema(eta, fmin(1, C * C * C * eta * eta), out);
}

static void dim_adapted(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    (void)t;
    ema(par(s, MSCOPE_RULE_ETA), fmin(1, par(s, MSCOPE_RULE_C_DIM) / s->dim), out);
}

/* D(0) = 1 would be beta = 0, which torch's form takes for "no buffer": a beta of 1e-16 keeps g in y. */
static void dana(const mscope_bench_schedule *s, double t, double g3, mscope_bench_rates *out)
{
    const double alpha = par(s, MSCOPE_RULE_DANA_ALPHA);
    const double delta = 4 + 2 * (alpha + par(s, MSCOPE_RULE_ZETA)) / (2 * alpha);
    const double g2 = 0.5 * par(s, MSCOPE_RULE_ETA) * fmin(1, s->batch / par(s, MSCOPE_RULE_TRACE));
    *out = (mscope_bench_rates){
        .eta = g2 * g3, .eps = fmin(delta / (delta + t), 1 - 0x1p-53), .gain = 1, .direct = g2
    };
}

static void dana_constant(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    dana(s, t, 0.5 / s->dim, out);
}

static void dana_decaying(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    dana(s, t, 0.5 * pow(1 + t, -1 / (2 * par(s, MSCOPE_RULE_DANA_ALPHA))), out);
}

/* Without a recording nothing moves; the command line refuses that before it runs. */
static void recorded(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    const double times = par(s, MSCOPE_RULE_TIMES);
    *out = (mscope_bench_rates){ .eps = 1 };
    if (s->from == NULL)
        return;
    s->from->rates(s->origin, t, out);
    out->eta *= times;
    out->direct *= times;
    out->shrink *= times;
}

#define BIGRAM "bigram_momentum.py of the authors of 2605.28961"
#define DANA_CODE "dana_plrf.py of the authors of 2505.16098; set trace, dana_alpha, zeta by the workload"

enum {
    ETA = 1 << MSCOPE_RULE_ETA,
    EPS = 1 << MSCOPE_RULE_EPS,
    WARM = 1 << MSCOPE_RULE_WARMUP,
    FROM = 1 << MSCOPE_RULE_WSD_FROM,
    DANA = 1 << MSCOPE_RULE_TRACE | 1 << MSCOPE_RULE_DANA_ALPHA | 1 << MSCOPE_RULE_ZETA,
};

const mscope_bench_rule mscope_bench_rules[] = {
    { "sgd", "no momentum",
      "definition", ETA, 0, 1, sgd },
    { "constant", "one eta, one beta",
      "definition", ETA | EPS, 0, 1, constant },
    { "nesterov", "the same with look-ahead",
      "torch.optim.SGD(nesterov=True), in EMA form", ETA | EPS, 0, 1, nesterov },
    { "warmup", "eta rises linearly, then stays",
      BIGRAM "; default warmup is ours", ETA | EPS | WARM, 0, 0, warmup },
    { "cosine", "warm-up, then half a cosine to 0",
      BIGRAM " without warm-up; that it waits for the warm-up is a convention", ETA | EPS | WARM, 0, 0, cosine },
    { "step", "eta halves every eighth of the run",
      BIGRAM, ETA | EPS, 0, 0, step_decay },
    { "inv-t", "eta/(1 + 20 t/T)",
      BIGRAM, ETA | EPS, 0, 0, inv_t },
    { "wsd", "warm-up, constant, linear to 0",
      BIGRAM, ETA | EPS | WARM | FROM, 0, 0, wsd },
    { "wsd-sqrt", "warm-up, constant, 1 - sqrt to 0",
      BIGRAM, ETA | EPS | WARM | FROM, 0, 0, wsd_sqrt },
    { "two-thirds", "1 - beta = C eta_hb^(2/3)",
      "2210.16400 (10); C = 0.17 is fitted to its toy model", ETA | 1 << MSCOPE_RULE_C23, 0, 1, two_thirds },
    { "dim-adapted", "1 - beta = c/d",
      "shape of SDAHB (2106.03696, as told in 2605.28961); c = 1 is a convention", ETA | 1 << MSCOPE_RULE_C_DIM, 0, 1,
      dim_adapted },
    { "dana-constant", "DANA, constant g3 = g2/(2d)",
      DANA_CODE, ETA | DANA, 0, 0, dana_constant },
    { "dana-decaying", "DANA, g3 falls as (1+t)^(-1/(2 dana_alpha))",
      DANA_CODE, ETA | DANA, 0, 0, dana_decaying },
    { "per-band-eta", "an eta a band by the exact maps, one beta",
      "search over the exact maps, here", ETA | EPS, 1, 1, constant },
    { "per-band-eps", "a beta a band by the exact maps, one eta",
      "search over the exact maps, here", ETA | EPS, 2, 1, constant },
    { "recorded", "what the recording was trained with",
      "the recording itself (workload recording only)", 1 << MSCOPE_RULE_TIMES, 0, 0, recorded },
    { NULL, NULL, NULL, 0, 0, 0, NULL },
};

const mscope_bench_rule *mscope_bench_rule_find(const char *name)
{
    for (const mscope_bench_rule *r = mscope_bench_rules; r->name != NULL; r++)
        if (strcmp(r->name, name) == 0)
            return r;
    return NULL;
}

void mscope_bench_rates_at(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    s->rule->rates(s, t, out);
}
