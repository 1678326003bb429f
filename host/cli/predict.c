/* predict.c - `momentscope predict`: flags in, an explanation out, or JSON lines for programs */
#include "cli.h"
#include "predict.h"
#include "predict_words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: momentscope predict --d N --p P --batch B --eta ETA (--beta BETA | --eps EPS) [--noise "
    "S2]\n"
    "       momentscope predict --measured --P P --H1 H1 --H2 H2 --eta ETA (--beta BETA | --eps "
    "EPS)\n"
    "       momentscope predict --model logistic --d N --p P --batch B --eta ETA (--beta | --eps) "
    "--r R\n"
    "       momentscope predict --jsonl < requests > answers\n"
    "\n"
    "What the exact second-moment theory says about SGD with momentum, m <- beta m + eps g,\n"
    "theta <- theta - eta m, eps = 1 - beta, on sparse gradients.\n"
    "\n"
    "  --d N            coordinates that share one gate\n"
    "  --p P            probability that a sample opens the gate (logistic: of the rare class)\n"
    "  --batch B        samples a step\n"
    "  --eta ETA        learning rate of the convention above (PyTorch: lr (1-dampening)/eps)\n"
    "  --beta, --eps    momentum; give eps where beta is close to 1\n"
    "  --noise S2       variance of the label noise (default 0)\n"
    "  --measured       a row known from a probe: --P active share of steps, --H1, --H2 curvature "
    "moments\n"
    "                   per active update, --noise2 E|label noise in g|^2 a step (default 0)\n"
    "  --model logistic rare-class logistic regression, class means --r R apart\n"
    "  --plot FILE      also write the phase-plane picture to FILE.svg or FILE.png\n"
    "  --jsonl          one request a line on stdin, {\"kind\": K, \"in\": {...}, \"op\": ...}, "
    "one answer a\n"
    "                   line on stdout, {\"kind\": K, \"out\": {...}} or {\"error\": {\"field\", "
    "\"value\",\n"
    "                   \"range\", \"message\"}}; K and fields as in tests/vectors. Optional grids "
    "in \"in\":\n"
    "                   counts (ls_clocks), etas (ls_stability), taus and d (ls_limit), times "
    "(lr_ode).\n"
    "\n"
    "example: momentscope predict --d 256 --p 0.01 --batch 512 --beta 0.95 --eta 0.5 --noise 0.1\n"
    "\n"
    "exit codes: 0 answered; 1 a line of --jsonl was refused or a file could not be written;\n"
    "            2 wrong usage or a value outside its range\n";

typedef struct options {
    double d, p, batch, beta, eps, eta, noise, r, P, H1, H2, noise2;
    const char *model, *plot;
    bool measured, jsonl, help;
} options;

static bool take_number(options *o, const char *name, const char *text)
{
    struct {
        const char *name;
        double *to;
    } const flags[] = {
        { "d", &o->d },     { "p", &o->p },     { "batch", &o->batch }, { "beta", &o->beta },
        { "eps", &o->eps }, { "eta", &o->eta }, { "noise", &o->noise }, { "r", &o->r },
        { "P", &o->P },     { "H1", &o->H1 },   { "H2", &o->H2 },       { "noise2", &o->noise2 },
    };
    char *end;

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].to = strtod(text, &end);
            if (*text != '\0' && *end == '\0' && !isnan(*flags[i].to))
                return true;
            fprintf(stderr, "momentscope predict: --%s %s: not a number\n", name, text);
            return false;
        }
    fprintf(stderr, "momentscope predict: no option --%s; see --help\n", name);
    return false;
}

static bool take_option(options *o, const char *name, const char *value, bool *used)
{
    *used = false;
    if (strcmp(name, "help") == 0)
        return o->help = true;
    if (strcmp(name, "jsonl") == 0)
        return o->jsonl = true;
    if (strcmp(name, "measured") == 0)
        return o->measured = true;
    *used = true;
    if (value == NULL) {
        fprintf(stderr, "momentscope predict: --%s needs a value; see --help\n", name);
        return false;
    }
    if (strcmp(name, "model") == 0) {
        o->model = value;
        return true;
    }
    if (strcmp(name, "plot") == 0) {
        o->plot = value;
        return true;
    }
    return take_number(o, name, value);
}

static bool parse(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char name[32];
        const char *eq = strchr(argv[i], '='), *value = eq             ? eq + 1
                                                        : i + 1 < argc ? argv[i + 1]
                                                                       : NULL;
        size_t len = eq ? (size_t)(eq - argv[i]) : strlen(argv[i]);
        bool used;

        if (strcmp(argv[i], "-h") == 0) {
            o->help = true;
            continue;
        }
        if (strncmp(argv[i], "--", 2) != 0 || len - 2 >= sizeof name) {
            fprintf(stderr, "momentscope predict: cannot make sense of '%s'; see --help\n",
                    argv[i]);
            return false;
        }
        memcpy(name, argv[i] + 2, len - 2);
        name[len - 2] = '\0';
        if (!take_option(o, name, value, &used))
            return false;
        i += used && eq == NULL;
    }
    return true;
}

static int missing(const char *flags)
{
    fprintf(stderr, "momentscope predict: %s must be given; see --help\n", flags);
    return MSCOPE_EXIT_USAGE;
}

static int refused(const mscope_bad *why)
{
    const char *flag = strcmp(why->field, "B") == 0 ? "batch" : why->field;

    fprintf(stderr, "momentscope predict: --%s %.17g is outside its range: %s\n", flag, why->value,
            why->range);
    return MSCOPE_EXIT_USAGE;
}

/* the first of n values outside its range is refused under its flag's name */
typedef struct limit {
    const char *flag;
    double value;
    bool fits;
    const char *range;
} limit;

static bool within(const limit *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!l[i].fits) {
            refused(&(mscope_bad){ l[i].flag, l[i].value, l[i].range });
            return false;
        }
    return true;
}

/* settle eps and beta against each other; NaN marks what was not given */
static bool momentum(options *o)
{
    const limit given[] = {
        { "beta", o->beta, isnan(o->beta) || (o->beta >= 0.0 && o->beta < 1.0), "[0, 1)" },
        { "eps", o->eps, isnan(o->eps) || (o->eps > 0.0 && o->eps <= 1.0), "(0, 1]" },
    };

    if (isnan(o->eps) && isnan(o->beta)) {
        missing("--beta or --eps");
        return false;
    }
    if (!within(given, 2))
        return false;
    if (isnan(o->eps))
        o->eps = 1.0 - o->beta;
    else if (isnan(o->beta))
        o->beta = 1.0 - o->eps;
    if (!(fabs(o->eps + o->beta - 1.0) <= 1e-12)) {
        fprintf(stderr, "momentscope predict: --beta %.17g does not fit --eps %.17g\n", o->beta,
                o->eps);
        return false;
    }
    return true;
}

static bool plottable(const options *o)
{
    size_t len = o->plot != NULL ? strlen(o->plot) : 0;

    if (o->plot == NULL ||
        (len > 4 && (strcmp(o->plot + len - 4, ".svg") == 0 || strcmp(o->plot + len - 4, ".png") == 0)))
        return true;
    fprintf(stderr, "momentscope predict: --plot %s: the name must end in .svg or .png\n", o->plot);
    return false;
}

static int show(const options *o, mscope_points *p)
{
    mscope_path path = { p->title, p->x_label, p->y_label, p->x, p->y, p->n };
    int err;

    putchar('\n');
    mscope_plot_text(stdout, &path, 60, 18);
    if (o->plot == NULL)
        return MSCOPE_EXIT_OK;
    err = mscope_plot_file(o->plot, &path);
    if (err != MSCOPE_OK) {
        fprintf(stderr, "momentscope predict: --plot %s: cannot write it\n", o->plot);
        return MSCOPE_EXIT_FAILED;
    }
    return MSCOPE_EXIT_OK;
}

static int run_ls(const options *o, mscope_points *p)
{
    mscope_ls ls = { .d = o->d,
                     .p = o->p,
                     .batch = o->batch,
                     .eps = o->eps,
                     .beta = o->beta,
                     .eta = o->eta,
                     .noise = o->noise };
    mscope_bad why;
    mscope_row row;

    if (isnan(o->d + o->p + o->batch + o->eta))
        return missing("--d, --p, --batch and --eta");
    if (mscope_ls_check(&ls, &why) != MSCOPE_OK)
        return refused(&why);
    printf("least squares d = %g, p = %g, B = %g, beta = %.10g (eps = %g), eta = %g, label noise "
           "%g\n\n",
           ls.d, ls.p, ls.batch, o->beta, ls.eps, ls.eta, ls.noise);
    if (mscope_row_from_ls(&ls, &row) || mscope_words_row(stdout, &row, p) ||
        mscope_words_ls(stdout, &ls)) {
        fprintf(stderr, "momentscope predict: out of the reach of double precision\n");
        return MSCOPE_EXIT_USAGE;
    }
    return show(o, p);
}

static int run_measured(const options *o, mscope_points *p)
{
    const limit given[] = {
        { "P", o->P, o->P > 0.0 && o->P <= 1.0, "(0, 1]" },
        { "H1", o->H1, o->H1 > 0.0 && isfinite(o->H1), "> 0" },
        { "H2", o->H2, o->H2 >= o->H1 * o->H1 && isfinite(o->H2), ">= H1^2" },
        { "eta", o->eta, o->eta >= 0.0 && isfinite(o->eta), ">= 0" },
        { "noise2", o->noise2, o->noise2 >= 0.0 && isfinite(o->noise2), ">= 0" },
    };
    mscope_row row;

    if (isnan(o->P + o->H1 + o->H2 + o->eta))
        return missing("--P, --H1, --H2 and --eta");
    if (!within(given, sizeof given / sizeof given[0]) ||
        mscope_row_from_probe(o->P, o->H1, o->H2, o->eps, o->eta, o->noise2, &row) != MSCOPE_OK)
        return MSCOPE_EXIT_USAGE;
    printf("measured row  P = %g, H1 = %g, H2 = %g, beta = %.10g (eps = %g), eta = %g\n\n", o->P,
           o->H1, o->H2, o->beta, o->eps, o->eta);
    if (mscope_words_row(stdout, &row, p) != MSCOPE_OK)
        return MSCOPE_EXIT_USAGE;
    return show(o, p);
}

static int run_lr(const options *o, mscope_points *p)
{
    mscope_lr lr = { .d = o->d,
                     .p = o->p,
                     .batch = o->batch,
                     .eps = o->eps,
                     .beta = o->beta,
                     .eta = o->eta,
                     .r = o->r };
    mscope_bad why;

    if (isnan(o->d + o->p + o->batch + o->eta + o->r))
        return missing("--d, --p, --batch, --eta and --r");
    if (mscope_lr_check(&lr, &why) != MSCOPE_OK)
        return refused(&why);
    printf("logistic      d = %g, p = %g, B = %g, beta = %.10g (eps = %g), eta = %g, r = %g\n\n",
           lr.d, lr.p, lr.batch, o->beta, lr.eps, lr.eta, lr.r);
    if (mscope_words_lr(stdout, &lr, p) != MSCOPE_OK)
        return MSCOPE_EXIT_USAGE;
    return show(o, p);
}

int mscope_cmd_predict(int argc, char **argv)
{
    static mscope_points points;
    options o = { NAN, NAN, NAN, NAN,  NAN,  NAN,   0.0,   NAN,  NAN,
                  NAN, NAN, 0.0, "ls", NULL, false, false, false };

    if (!parse(&o, argc, argv))
        return MSCOPE_EXIT_USAGE;
    if (o.help) {
        fputs(help, stdout);
        return MSCOPE_EXIT_OK;
    }
    if (o.jsonl)
        return mscope_predict_lines(stdin, stdout) == 0 ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
    if (!momentum(&o) || !plottable(&o))
        return MSCOPE_EXIT_USAGE;
    if (!isnan(o.r) && strcmp(o.model, "logistic") != 0)
        fprintf(stderr, "momentscope predict: --r only belongs to --model logistic, and is not used here\n");
    if (o.measured)
        return run_measured(&o, &points);
    if (strcmp(o.model, "logistic") == 0)
        return run_lr(&o, &points);
    if (strcmp(o.model, "ls") == 0 || strcmp(o.model, "least-squares") == 0)
        return run_ls(&o, &points);
    fprintf(stderr, "momentscope predict: --model %s: ls or logistic\n", o.model);
    return MSCOPE_EXIT_USAGE;
}
