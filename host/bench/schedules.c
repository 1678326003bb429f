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
    { "co", 0, 0, 1, 1, "1: 1 - beta falls with the decay of eta, beta at most 0.999" },
    { "eps2", 0.001, 1e-9, 1, 0, "Adam: 1 - beta2, the forgetting of g^2" },
    { "delta", 8, 1e-3, 1e6, 0, "ADana, Dana-Star: 1 - beta = delta/(delta + t)" },
    { "kappa", 0.85, 0, 1, 0, "ADana, Dana-Star: momentum counts more as t^(1-kappa)" },
    { "clipsnr", 1, 0, 1e6, 0, "Dana-Star: largest |g| sqrt(activity)/sqrt(mean g^2) that counts in full" },
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

static void warmup(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    ema(par(s, MSCOPE_RULE_ETA) * rise(s, t), par(s, MSCOPE_RULE_EPS), out);
}

/* eta times rise and decay; with co, eps times decay. */
static void decayed(const mscope_bench_schedule *s, double up, double decay, mscope_bench_rates *out)
{
    const double eps = par(s, MSCOPE_RULE_EPS), least = fmin(eps, 0.001);
    ema(par(s, MSCOPE_RULE_ETA) * up * decay, par(s, MSCOPE_RULE_CO) > 0 ? fmax(least, eps * decay) : eps, out);
}

static double clamp01(double x)
{
    return fmin(1, fmax(0, x));
}

static double half_cosine(const mscope_bench_schedule *s, double t)
{
    const double warm = par(s, MSCOPE_RULE_WARMUP) * s->steps, left = fmax(1, s->steps - warm);
    return 0.5 * (1 + cos(3.14159265358979323846 * clamp01((t - warm) / left)));
}

static void cosine(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    decayed(s, rise(s, t), half_cosine(s, t), out);
}

static void step_decay(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    decayed(s, 1, pow(0.5, floor(8 * fmin(t / s->steps, 1))), out);
}

static void inv_t(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    decayed(s, 1, 1 / (1 + 20 * t / s->steps), out);
}

static double past(const mscope_bench_schedule *s, double t)
{
    const double from = par(s, MSCOPE_RULE_WSD_FROM) * s->steps;
    return clamp01((t - from) / fmax(1, s->steps - from));
}

static void wsd(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    decayed(s, rise(s, t), 1 - past(s, t), out);
}

static void wsd_sqrt(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    decayed(s, rise(s, t), 1 - sqrt(past(s, t)), out);
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

static void adam(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    const double fresh = par(s, MSCOPE_RULE_EPS2);
    constant(s, t, out);
    out->eta /= -expm1((t + 1) * log1p(-out->eps));
    out->squares.by = MSCOPE_BENCH_SQUARES;
    out->squares.eps = fresh;
    out->squares.unbias = 1 / -expm1((t + 1) * log1p(-fresh));
}

static void adam_cosine(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    adam(s, t, out);
    out->eta *= rise(s, t) * half_cosine(s, t);
}

/* The authors count steps from 1. */
static void adana(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    const double eta = par(s, MSCOPE_RULE_ETA), delta = par(s, MSCOPE_RULE_DELTA), fresh = delta / (delta + t + 1);
    ema(eta * (1 + pow(2 + t, 1 - par(s, MSCOPE_RULE_KAPPA))), fresh, out);
    out->direct = eta;
    out->squares.by = MSCOPE_BENCH_SQUARES;
    out->squares.eps = fresh;
    out->squares.unbias = 1;
}

static void dana_star(const mscope_bench_schedule *s, double t, mscope_bench_rates *out)
{
    adana(s, t, out);
    out->eta = out->direct;
    out->squares.by = MSCOPE_BENCH_ACTIVITY;
    out->squares.t = t + 1;
    out->squares.kappa = par(s, MSCOPE_RULE_KAPPA);
    out->squares.clip = par(s, MSCOPE_RULE_CLIPSNR);
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
#define ADANA_CODE "code of the authors of 2602.05298"
#define DANA_CODE "dana_plrf.py of the authors of 2505.16098; set trace, dana_alpha, zeta by the workload"

enum {
    ETA = 1 << MSCOPE_RULE_ETA,
    EPS = 1 << MSCOPE_RULE_EPS,
    WARM = 1 << MSCOPE_RULE_WARMUP,
    FROM = 1 << MSCOPE_RULE_WSD_FROM,
    EPS2 = 1 << MSCOPE_RULE_EPS2,
    CO = 1 << MSCOPE_RULE_CO,
    ADANA = 1 << MSCOPE_RULE_DELTA | 1 << MSCOPE_RULE_KAPPA,
    DANA = 1 << MSCOPE_RULE_TRACE | 1 << MSCOPE_RULE_DANA_ALPHA | 1 << MSCOPE_RULE_ZETA,
};

const mscope_bench_rule mscope_bench_rules[] = {
    { "sgd", "no momentum",
      "definition", ETA, 0, 1, sgd, 0 },
    { "constant", "one eta, one beta",
      "definition", ETA | EPS, 0, 1, constant, 0 },
    { "nesterov", "the same with look-ahead",
      "torch.optim.SGD(nesterov=True), in EMA form", ETA | EPS, 0, 1, nesterov, 0 },
    { "warmup", "eta rises linearly, then stays",
      BIGRAM "; default warmup is ours", ETA | EPS | WARM, 0, 0, warmup, 0 },
    { "cosine", "warm-up, then half a cosine to 0",
      BIGRAM " without warm-up; that it waits for the warm-up is a convention", ETA | EPS | WARM | CO, 0, 0, cosine,
      0 },
    { "step", "eta halves every eighth of the run",
      BIGRAM, ETA | EPS | CO, 0, 0, step_decay, 0 },
    { "inv-t", "eta/(1 + 20 t/T)",
      BIGRAM, ETA | EPS | CO, 0, 0, inv_t, 0 },
    { "wsd", "warm-up, constant, linear to 0",
      BIGRAM, ETA | EPS | WARM | FROM | CO, 0, 0, wsd, 0 },
    { "wsd-sqrt", "warm-up, constant, 1 - sqrt to 0",
      BIGRAM, ETA | EPS | WARM | FROM | CO, 0, 0, wsd_sqrt, 0 },
    { "two-thirds", "1 - beta = C eta_hb^(2/3)",
      "2210.16400 (10); C = 0.17 is fitted to its toy model", ETA | 1 << MSCOPE_RULE_C23, 0, 1, two_thirds, 0 },
    { "dim-adapted", "1 - beta = c/d",
      "shape of SDAHB (2106.03696, as told in 2605.28961); c = 1 is a convention", ETA | 1 << MSCOPE_RULE_C_DIM, 0, 1,
      dim_adapted, 0 },
    { "dana-constant", "DANA, constant g3 = g2/(2d)",
      DANA_CODE, ETA | DANA, 0, 0, dana_constant, 0 },
    { "dana-decaying", "DANA, g3 falls as (1+t)^(-1/(2 dana_alpha))",
      DANA_CODE, ETA | DANA, 0, 0, dana_decaying, 0 },
    { "per-band-eta", "an eta a band by the exact maps, one beta",
      "search over the exact maps, here", ETA | EPS, 1, 1, constant, 0 },
    { "per-band-eps", "a beta a band by the exact maps, one eta",
      "search over the exact maps, here", ETA | EPS, 2, 1, constant, 0 },
    { "adam", "Adam, constant eta",
      "torch.optim.Adam", ETA | EPS | EPS2, 0, 0, adam, 1 },
    { "adam-cosine", "Adam under the eta of cosine",
      "torch.optim.Adam; cosine as above", ETA | EPS | EPS2 | WARM, 0, 0, adam_cosine, 1 },
    { "adana", "Adam's division, DANA's momentum",
      "adana.py, " ADANA_CODE "; kappa of its README", ETA | ADANA, 0, 0, adana, 1 },
    { "dana-star", "the same by each coordinate's activity",
      "dana_star.py, " ADANA_CODE "; kappa of its README", ETA | ADANA | 1 << MSCOPE_RULE_CLIPSNR, 0, 0, dana_star, 1 },
    { "recorded", "what the recording was trained with",
      "the recording itself (workload recording only)", 1 << MSCOPE_RULE_TIMES, 0, 0, recorded, 0 },
    { NULL, NULL, NULL, 0, 0, 0, NULL, 0 },
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
