/* predict_words.c - the theory in sentences, and the points of its pictures */
#include "predict_words.h"

#include <math.h>
#include <string.h>

static const double TURN = 6.28318530717958647693;

static void say_regime(FILE *out, const mscope_feedback *fb)
{
    static const char *const why[] = {
        [MSCOPE_REGIME_SGD] =
            "momentum forgets long before the row has learned: it acts as plain SGD",
        [MSCOPE_REGIME_RESONANT] = "momentum forgets about as fast as the row learns",
        [MSCOPE_REGIME_HEAVY_BALL] = "momentum outlives learning: the mean error swings",
        [MSCOPE_REGIME_NEAR] = "more than 80 % of what one step may feed back",
        [MSCOPE_REGIME_UNSTABLE] = "every step feeds back more error than it removes: R grows",
    };

    fprintf(out, "regime        %s: %s\n", mscope_regime_name(fb->regime), why[fb->regime]);
    if (isfinite(fb->zeta))
        fprintf(out,
                "              damping ratio zeta = %.4g (< 0.5 heavy-ball, 0.5..2 resonant, > 2 "
                "SGD-like)\n",
                fb->zeta);
}

static void say_stability(FILE *out, const mscope_feedback *fb)
{
    fprintf(out, "stability     H = eta/eta_max = %.4g, %s; eta_max = %.6g\n", fb->H,
            fb->H < 1.0 ? "stable (below 1)" : "UNSTABLE (1 or more)", fb->eta_max);
    fprintf(out, "              of H, gradient noise gives %.4g and curvature %.4g: %s\n", fb->Hn,
            fb->Hc,
            fb->Hn >= fb->Hc ? "a larger batch would raise eta_max"
                             : "a larger batch would not raise eta_max, a smaller eps would");
}

static void say_clocks(FILE *out, const mscope_row *row, const mscope_feedback *fb)
{
    fprintf(out, "activity      P = %.6g of the steps are active; mean gap %.4g steps\n", row->P,
            1.0 / row->P);
    fprintf(out, "retention     %.4g active updates (%.4g steps): how long momentum remembers\n",
            fb->retention, fb->retention / row->P);
    fprintf(out, "learning      %.4g active updates (%.4g steps): 1/(eta H1)\n", fb->learning,
            fb->learning / row->P);
    fprintf(out,
            "Delta         %.4g = retention/learning (it labels, it does not decide stability)\n",
            fb->delta);
}

static void say_motion(FILE *out, const mscope_row *row, const mscope_feedback *fb)
{
    if (fb->omega > 0.0)
        fprintf(out, "oscillation   period %.4g active updates", TURN / fb->omega);
    else
        fprintf(out, "oscillation   none on the active clock");
    if (fb->omega_step > 0.0)
        fprintf(out, "; %.4g steps, every step looked at", TURN / fb->omega_step);
    fprintf(out, " (stiffness %.4g, swings above about 1/4)\n", fb->omega2);
    if (fb->rate > 0.0)
        fprintf(out, "decay         rate of R %.4g a step: ten times smaller every %.4g steps",
                fb->rate, log(10.0) / fb->rate);
    else
        fprintf(out, "growth        rate of R %.4g a step", 0.0 - fb->rate);
    if (isfinite(fb->rate_cap))
        fprintf(out, "; momentum caps the rate at ln(1/beta) = %.4g", fb->rate_cap);
    fprintf(out, "\n");
    fprintf(out,
            "reference     critical damping of the mean at eps = %.4g (a reference point, not "
            "advice)\n",
            fmin(1.0, 4.0 * row->eta * row->h1));
}

static void say_floor(FILE *out, const mscope_row *row, const mscope_feedback *fb)
{
    double x[3];

    if (row->noise2 == 0.0)
        fprintf(out, "noise floor   0: no label noise was given\n");
    else if (mscope_row_floor(row, MSCOPE_CLOCK_STEP, x) == MSCOPE_OK)
        fprintf(out, "noise floor   R = phi/(1-H) = %.6g (phi = %.4g), V = %.4g, C = %.4g\n", x[0],
                fb->phi, x[1], x[2]);
    else
        fprintf(out, "noise floor   none: not stable\n");
}

/* One mean step of (e, m): m <- beta m + eps h1 e, e <- e - eta m. */
static void mean_step(const mscope_row *row, double a[4])
{
    double w = row->eta * row->eps * row->h1;

    a[0] = 1.0 - w;
    a[1] = -row->eta * row->beta;
    a[2] = row->eps * row->h1;
    a[3] = row->beta;
}

static void multiply(const double a[4], const double b[4], double out[4])
{
    double c[4] = { a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3], a[2] * b[0] + a[3] * b[2],
                    a[2] * b[1] + a[3] * b[3] };

    memcpy(out, c, sizeof c);
}

/* the mean error against the mean momentum, four e-foldings or five turns, whichever is shorter */
static void mean_path(const mscope_row *row, const mscope_feedback *fb, mscope_points *p)
{
    double step[4], stride[4] = { 1.0, 0.0, 0.0, 1.0 }, e = 1.0, m = 0.0, steps, each;

    steps = fb->omega_step > 0.0 ? fmin(fmax(8.0 / fb->rate_cap, 8.0), 5.0 * TURN / fb->omega_step)
                                 : 4.0 * fmax(1.0 / (row->eta * row->h1), 1.0 / row->eps);
    steps = fmin(fmax(steps, 8.0), 1e15);
    each = fmax(1.0, ceil(steps / (MSCOPE_POINTS - 1)));
    mean_step(row, step);
    for (double k = each; k > 0.0; k = floor(k / 2.0)) {
        if (fmod(k, 2.0) != 0.0)
            multiply(stride, step, stride);
        multiply(step, step, step);
    }
    p->n = 0;
    for (double at = 0.0; at <= steps && p->n < MSCOPE_POINTS; at += each) {
        double next = stride[0] * e + stride[1] * m;
        p->x[p->n] = e;
        p->y[p->n++] = m / row->h1;
        m = stride[2] * e + stride[3] * m;
        e = next;
        if (!isfinite(e) || !isfinite(m) || fabs(e) > 1e6)
            break;
    }
    snprintf(p->title, sizeof p->title, "mean error and momentum over %.4g steps",
             (p->n - 1) * each);
    p->x_label = "mean error (start 1)";
    p->y_label = "mean momentum / curvature";
}

int mscope_words_row(FILE *out, const mscope_row *row, mscope_points *points)
{
    mscope_feedback fb;
    int err = mscope_row_feedback(row, &fb);

    if (err != MSCOPE_OK)
        return err;
    say_regime(out, &fb);
    say_stability(out, &fb);
    say_clocks(out, row, &fb);
    say_motion(out, row, &fb);
    say_floor(out, row, &fb);
    mean_path(row, &fb, points);
    return MSCOPE_OK;
}

/* the line of the plane that is closest in exponents */
static const char *nearest_line(const mscope_exponents *e, double *distance)
{
    const struct {
        const char *name;
        double off;
    } lines[] = {
        { "resonance line gamma = 1-sigma+kappa", e->gamma - (1.0 - e->sigma + e->kappa) },
        { "noise line kappa = sigma-1", e->kappa - (e->sigma - 1.0) },
        { "dense/sparse line kappa = sigma", e->kappa - e->sigma },
        { "memoryless line gamma = kappa-sigma", e->gamma - (e->kappa - e->sigma) },
    };
    size_t best = 0;

    for (size_t i = 1; i < sizeof lines / sizeof lines[0]; i++)
        if (fabs(lines[i].off) < fabs(lines[best].off))
            best = i;
    *distance = lines[best].off;
    return lines[best].name;
}

static void say_limit(FILE *out, const mscope_limit *l)
{
    if (l->dim == 0)
        fprintf(out, "limit         none in this corner of the plane\n");
    else if (l->dim == 1)
        fprintf(out, "limit         R' = %.4g R, one unit of time = d^%.3g active updates\n",
                -l->c_eff, l->atlas.clock);
    else
        fprintf(out,
                "limit         %s, one unit of time = d^%.3g active updates; rho = %.4g, etabar = "
                "%.4g, zeta = %.4g\n",
                l->dim == 2 ? "heavy ball" : "heavy ball with multiplicative noise", l->atlas.clock,
                l->rho, l->etabar, l->zeta);
}

static int atlas_of(const mscope_ls *ls, mscope_exponents *e, double *alpha, mscope_atlas *atlas)
{
    static const mscope_prefactors unit = { 1.0, 1.0, 1.0, 1.0 };
    double x[4];
    int err = mscope_exponents_of(ls, &unit, x);

    if (err != MSCOPE_OK)
        return err;
    /* a batch below one sample has no place in the plane: put it on the edge */
    *e = (mscope_exponents){ fmax(x[0], 0.0), fmax(x[1], 0.0), fmax(x[2], 0.0), 0.0 };
    *alpha = x[3];
    return mscope_classify(e, atlas);
}

int mscope_words_ls(FILE *out, const mscope_ls *ls)
{
    mscope_exponents e;
    mscope_prefactors f = { 1.0, 1.0, 1.0, 1.0 };
    mscope_atlas atlas;
    mscope_limit limit;
    double alpha, off;
    const char *line;

    if (!(ls->d > 1.0) || !(ls->eta > 0.0) || atlas_of(ls, &e, &alpha, &atlas) != MSCOPE_OK) {
        fprintf(out, "co-scaling    no exponents at d = 1 or eta = 0\n");
        return MSCOPE_OK;
    }
    fprintf(
        out,
        "co-scaling    p = d^-%.3g, B = d^%.3g, eps = d^-%.3g, eta = d^%.3g (unit prefactors)\n",
        e.kappa, e.sigma, e.gamma, 0.0 - alpha);
    line = nearest_line(&e, &off);
    fprintf(out, "              %s, region %s of the atlas; nearest border: %s, %.2g away\n",
            atlas.regime, atlas.region, line, fabs(off));
    f.eta = ls->eta * pow(ls->d, atlas.alpha);
    if (mscope_limit_of(&e, &f, &limit) == MSCOPE_OK)
        say_limit(out, &limit);
    return MSCOPE_OK;
}

static void say_fixed(FILE *out, const mscope_lr *lr)
{
    mscope_lr_floor floor;
    double x[5], kl;

    if (mscope_lr_fixed_point(lr, MSCOPE_LR_EXACT, x) == MSCOPE_OK &&
        mscope_lr_kl(lr, x[0], x[2], &kl) == MSCOPE_OK)
        fprintf(out, "noise floor   R = %.6g, s = %.4g, V = %.4g, KL = %.4g nats (exact drift)\n",
                x[2], x[0], x[3], kl);
    else
        fprintf(out, "noise floor   no fixed point found: eta is too large\n");
    fprintf(out, "              leading order eta d/(2B) = %.4g\n",
            0.5 * lr->eta * lr->d / lr->batch);
    if (mscope_lr_limit_floor(lr->eta * lr->d / lr->batch, lr->r, &floor) == MSCOPE_OK)
        fprintf(out,
                "              limit of rare classes below and on resonance: R = %.4g, s = %.4g\n",
                floor.R, floor.s);
}

static void say_lr_motion(FILE *out, const mscope_lr *lr)
{
    double eb = lr->eta * lr->p / lr->eps, signal = eb * (1.0 + lr->r * lr->r);
    double beta = lr->beta > 0.0 ? lr->beta : 1.0 - lr->eps;
    double curve = lr->eta * lr->eps * lr->p * (1.0 + lr->r * lr->r);

    fprintf(out, "signal        stiffness eta p (1+r^2)/eps = %.4g: %s", signal,
            signal > 0.25 ? "swings" : "does not swing");
    if (signal > 0.25)
        fprintf(out, ", period %.4g steps", TURN / (lr->eps * sqrt(signal - 0.25)));
    fprintf(out, "\nbulk          stiffness eta p/eps = %.4g: %s\n", eb,
            eb > 0.25 ? "swings" : "does not swing");
    fprintf(
        out,
        "stability     signal block: eta eps p (1+r^2) = %.4g, must stay below 2(1+beta) = %.4g\n",
        curve, 2.0 * (1.0 + beta));
}

static int lr_path(const mscope_lr *lr, mscope_points *p)
{
    double steps = fmin(8.0 * fmax(1.0 / lr->eps, lr->d / (lr->p * lr->batch)), 2e4);
    double each = fmax(1.0, ceil(steps / 200.0)), x[5] = { -lr->r, 0.0, 0.0, 0.0, 0.0 };

    p->n = 0;
    for (double at = 0.0; at <= steps && p->n < MSCOPE_POINTS; at += each) {
        p->x[p->n] = x[0];
        p->y[p->n++] = x[2];
        if (mscope_lr_iterate(lr, MSCOPE_LR_EXACT, each, x) != MSCOPE_OK)
            break;
    }
    snprintf(p->title, sizeof p->title,
             "from theta = 0: signal error and bulk error over %.4g steps", (p->n - 1) * each);
    p->x_label = "signal error s";
    p->y_label = "bulk error R";
    return MSCOPE_OK;
}

int mscope_words_lr(FILE *out, const mscope_lr *lr, mscope_points *points)
{
    mscope_ls ls = { .d = lr->d, .p = lr->p, .batch = lr->batch, .eps = lr->eps, .eta = lr->eta };
    mscope_exponents e;
    mscope_atlas atlas;
    double alpha;

    if (lr->d > 1.0 && lr->eta > 0.0 && atlas_of(&ls, &e, &alpha, &atlas) == MSCOPE_OK)
        fprintf(
            out,
            "region        %s: kappa = %.3g, sigma = %.3g, gamma = %.3g (unit prefactors), %s\n",
            atlas.lr_region, e.kappa, e.sigma, e.gamma, atlas.regime);
    say_lr_motion(out, lr);
    say_fixed(out, lr);
    return lr_path(lr, points);
}
