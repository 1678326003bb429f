/* predict.c - momentscope predict: options in, an explanation out, or JSON lines for programs */
#include "cli.h"
#include "common/options.h"
#include "predict.h"
#include "predict_words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "momentscope predict"

typedef struct options {
    double d, p, batch, beta, eps, eta, noise, r, P, H1, H2, noise2;     /* NaN: not given */
    const char *model, *plot;
    int measured, jsonl;
} options;

/* Returns the exit code to leave with, or MSCOPE_OPTIONS_GO_ON. Ranges are the theory's to check. */
static int read_options(int argc, char **argv, options *o)
{
    const mscope_option table[] = {
        { "d", "N", "coordinates that share one gate", .real = &o->d },
        { "p", "P", "probability that a sample opens the gate (logistic: of the rare class)", .real = &o->p },
        { "batch", "B", "samples a step", .real = &o->batch },
        { "eta", "ETA", "learning rate of the convention above (PyTorch: lr (1-dampening)/eps)", .real = &o->eta },
        { "beta", "BETA", "momentum", .real = &o->beta },
        { "eps", "EPS", "1 - beta; more exact than --beta where beta is close to 1", .real = &o->eps },
        { "noise", "S2", "variance of the label noise (default: 0)", .real = &o->noise },
        { "measured", NULL, "a row known from a probe, by --P, --H1, --H2 and --noise2", .flag = &o->measured },
        { "P", "P", "share of steps in which the row is active", .real = &o->P },
        { "H1", "H1", "first curvature moment per active update", .real = &o->H1 },
        { "H2", "H2", "second curvature moment per active update", .real = &o->H2 },
        { "noise2", "N2", "E|label noise in g|^2 a step (default: 0)", .real = &o->noise2 },
        { "model", "MODEL", "ls, least squares (the default), or logistic: rare-class logistic regression",
          .text = &o->model },
        { "r", "R", "with --model logistic: distance of the class means", .real = &o->r },
        { "plot", "FILE", "also write the picture of the phase plane to FILE, which ends in .svg or .png",
          .text = &o->plot },
        { "jsonl", NULL, "read one request a line from standard input and write one answer a line", .flag = &o->jsonl },
        { .name = NULL }
    };
    const mscope_command predict = {
        .name = COMMAND,
        .usage = "--d N --p P --batch B --eta ETA\n (--beta BETA | --eps EPS) [--noise S2]\n"
                 "--measured --P P --H1 H1 --H2 H2 --eta ETA\n (--beta BETA | --eps EPS)\n"
                 "--model logistic --d N --p P --batch B --eta ETA\n (--beta BETA | --eps EPS) --r R\n"
                 "--jsonl < requests > answers",
        .about = "Say what the exact second-moment theory predicts for SGD with momentum on sparse gradients: m <- "
                 "beta m + eps g, theta <- theta - eta m, eps = 1 - beta.",
        .option = table,
        .notes = "A request of --jsonl is {\"kind\": K, \"in\": {...}, \"op\": ...}; its answer is {\"kind\": K, "
                 "\"out\": {...}} or {\"error\": {\"field\", \"value\", \"range\", \"message\"}}. K and the fields are "
                 "those of tests/vectors. Optional grids in \"in\": counts (ls_clocks), etas (ls_stability), taus and "
                 "d (ls_limit), times (lr_ode).",
        .example = COMMAND " --d 256 --p 0.01 --batch 512 --beta 0.95 --eta 0.5",
        .exits = "0 answered\n"
                 "1 a line of --jsonl was refused, or a file could not be written\n"
                 "2 wrong usage, or a value outside its range",
    };

    return mscope_options_read(&predict, argc, argv, NULL);
}

static int missing(const char *flags)
{
    fprintf(stderr, COMMAND ": missing %s; " COMMAND " --help lists the options\n", flags);
    return MSCOPE_EXIT_USAGE;
}

static int refused(const mscope_bad *why)
{
    const char *flag = strcmp(why->field, "B") == 0 ? "batch" : why->field;

    fprintf(stderr, COMMAND ": --%s is '%.10g', expected %s\n", flag, why->value, why->range);
    return MSCOPE_EXIT_USAGE;
}

/* the first of n values that is outside its range is refused by the name of its option */
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
        fprintf(stderr, COMMAND ": --beta is %.17g and --eps is %.17g, expected a sum of 1\n", o->beta, o->eps);
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
    fprintf(stderr, COMMAND ": --plot is '%s', expected a name that ends in .svg or .png\n", o->plot);
    return false;
}

static int show(const options *o, mscope_points *p)
{
    mscope_path path = { p->title, p->x_label, p->y_label, p->x, p->y, p->n };
    char why[MSCOPE_WHY_MAX];

    putchar('\n');
    mscope_plot_text(stdout, &path, 60, 18);
    if (o->plot == NULL)
        return MSCOPE_EXIT_OK;
    if (mscope_plot_file(o->plot, &path, why, sizeof why) != MSCOPE_OK) {
        fprintf(stderr, COMMAND ": cannot write %s: %s\n", o->plot, why);
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
        fprintf(stderr, COMMAND ": these values are beyond double precision\n");
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
    double terms = MSCOPE_ASK_TERMS;
    mscope_lr lr = { .d = o->d,
                     .p = o->p,
                     .batch = o->batch,
                     .eps = o->eps,
                     .beta = o->beta,
                     .eta = o->eta,
                     .r = o->r,
                     .terms = &terms };
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
    options o = { NAN, NAN, NAN, NAN, NAN, NAN, 0.0, NAN, NAN, NAN, NAN, 0.0, .model = "ls" };
    const int code = read_options(argc, argv, &o);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    if (o.jsonl)
        return mscope_predict_lines(stdin, stdout) == 0 ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
    if (!momentum(&o) || !plottable(&o))
        return MSCOPE_EXIT_USAGE;
    if (!isnan(o.r) && strcmp(o.model, "logistic") != 0)
        fprintf(stderr, COMMAND ": --r belongs to --model logistic and is ignored\n");
    if (o.measured)
        return run_measured(&o, &points);
    if (strcmp(o.model, "logistic") == 0)
        return run_lr(&o, &points);
    if (strcmp(o.model, "ls") == 0 || strcmp(o.model, "least-squares") == 0)
        return run_ls(&o, &points);
    fprintf(stderr, COMMAND ": --model is '%s', expected ls or logistic\n", o.model);
    return MSCOPE_EXIT_USAGE;
}
