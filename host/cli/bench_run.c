/* bench_run.c - momentscope bench run: the options; run/grid.c reads their values, run/sweep.c does the work */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/run/ranks.h"
#include "bench/run/sweep.h"
#include "common/exit.h"
#include "common/options.h"

enum { WHY = 512, OWN_TEXTS = 8, OPTIONS = 32 };

static struct {
    mscope_grid grid;
    const char *text[OWN_TEXTS];      /* of the workload's own options */
    const char *path;
    uint64_t jobs;
    int quiet;
} o = { .jobs = 1 };

/* ---- values that the grid reads ----------------------------------------------------------------------------- */

static int schedules(void *grid, const char *value, char *why, size_t cap)
{
    (void)cap;                        /* MSCOPE_WHY_MAX is more than a grid says */
    return mscope_grid_rules(grid, value, why);
}

static int semantics(void *grid, const char *value, char *why, size_t cap)
{
    (void)cap;
    return mscope_grid_semantics(grid, value, why);
}

static int parameter(void *grid, const char *value, char *why, size_t cap)
{
    (void)cap;
    return mscope_grid_set(grid, value, why);
}

static int seeds(void *grid, const char *value, char *why, size_t cap)
{
    (void)cap;
    return mscope_grid_seeds(grid, value, why);
}

static int target(void *grid, const char *value, char *why, size_t cap)
{
    char *end;
    const double x = strtod(value, &end);
    (void)snprintf(why, cap, "expected a number between 0 and 1");
    ((mscope_grid *)grid)->target = x;
    return end != value && *end == '\0' && x > 0 && x < 1 ? 0 : -1;
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

static const mscope_option common[] = {
    { "schedules", "A,B,..", "rules of momentscope bench list (constant)", .check = schedules, .context = &o.grid },
    { "schedule", "A,B,..", NULL, .check = schedules, .context = &o.grid },
    { "semantics", "A,B,..", "what happens to rows without a gradient: catchup, dense, frozen, row-clock (catchup)",
      .check = semantics, .context = &o.grid },
    { "grid", "NAME=VALUES",
      "values of one parameter, of the workload or of a schedule: a,b,c or LOW:HIGH:xN (geometric) or "
      "LOW:HIGH:+N (linear). Once for each parameter; eps and beta = 1 - eps are one. Equal values count once.",
      .check = parameter, .context = &o.grid },
    { "seeds", "N", "seeds 1 to N, or FIRST:LAST (1)", .check = seeds, .context = &o.grid },
    { "steps", "N", "length of a run (1000; of a recording: all of it)", .count = &o.grid.steps, .low = 1,
      .high = 1e9 },
    { "every", "N", "steps between two looks at the risk (steps/200 + 1)", .count = &o.grid.every, .low = 1,
      .high = 1e9 },
    { "target", "F", "share of the risk at the start that counts as learnt (0.05)", .check = target,
      .context = &o.grid },
    { "jobs", "N", "processes (1), under mpirun on each rank; results do not depend on it", .count = &o.jobs, .low = 1,
      .high = 256 },
    { "out", "FILE", "append the lines to FILE and skip runs that it has (standard output)", .text = &o.path },
    { "quiet", NULL, "print no progress", .flag = &o.quiet },
};

/* The options of every workload, then those of this one's origin. */
static void gather(mscope_option *all, const mscope_workload *w)
{
    const mscope_bench_text *own = w != NULL && w->origin != NULL ? w->origin->texts : NULL;
    size_t n = sizeof common / sizeof common[0];
    memcpy(all, common, sizeof common);
    for (int i = 0; own != NULL && own[i].name != NULL && i < OWN_TEXTS; i++)
        all[n++] = (mscope_option){ .name = own[i].name, .arg = own[i].arg, .help = own[i].help, .text = &o.text[i] };
    all[n] = (mscope_option){ .name = NULL };
}

static int refuse(const char *why, int code)
{
    if (mscope_ranks_mine() == 0 && why[0] != '\0')
        fprintf(stderr, "momentscope bench run: %s\n", why);
    return code;
}

static int run(void)
{
    const mscope_sweep sweep = { .grid = &o.grid, .path = o.path, .jobs = (int)o.jobs, .quiet = o.quiet };
    char why[WHY] = "";
    int code = MSCOPE_EXIT_USAGE;
    if (mscope_grid_open(&o.grid, o.text, why) == 0)
        switch (mscope_sweep_run(&sweep, why)) {
        case MSCOPE_SWEEP_DONE: code = MSCOPE_EXIT_OK; break;
        case MSCOPE_SWEEP_FAILED: code = MSCOPE_EXIT_FAILED; break;
        default: break;
        }
    mscope_grid_close(&o.grid);
    return refuse(why, code);
}

int mscope_cmd_bench_run(int argc, char **argv)
{
    const int named = argc >= 2 && argv[1][0] != '-';
    const mscope_workload *w = named ? mscope_workload_find(argv[1]) : NULL;
    mscope_option options[OPTIONS];
    const mscope_command c = {
        .name = "momentscope bench run",
        .usage = "WORKLOAD [OPTION...]",
        .about =
            "Runs every combination of schedules, semantics, parameters and seeds, and writes one JSON line for each "
            "run. An interrupted sweep goes on when the same command is given again.",
        .option = options,
        .notes =
            "momentscope bench list shows workloads, schedules and parameters. A workload that reads a file has "
            "options of its own; momentscope bench run recording --help shows them.\n\n"
            "mpirun -n N momentscope bench run .. writes the same lines: rank 0 writes, the others compute.",
        .example = "momentscope bench run vocab-ls --schedules sgd,constant \\\n"
                   "    --grid eta=1:16:x5 --grid beta=0.9,0.99 --grid batch=64,1024 \\\n"
                   "    --seeds 4 --steps 2000 --jobs 2 --out vocab.jsonl",
        .exits =
            "0 all runs are done\n"
            "1 a run failed, a line could not be written (then nothing more is run), or the sweep was interrupted\n"
            "2 wrong usage",
        .argument = "WORKLOAD",
        .silent = mscope_ranks_mine() != 0,
    };
    char why[WHY];
    if (named && w == NULL) {
        (void)snprintf(why, sizeof why, "no workload '%.100s'; momentscope bench list shows them", argv[1]);
        return refuse(why, MSCOPE_EXIT_USAGE);
    }
    gather(options, w);
    if (w != NULL)
        mscope_grid_start(&o.grid, w);
    const int code = mscope_options_read(&c, argc - named, argv + named, NULL);
    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    return w != NULL
               ? run()
               : refuse("the first argument must be a WORKLOAD; momentscope bench list shows them", MSCOPE_EXIT_USAGE);
}
