/* options.h - the command line of a command: one table drives parsing, environment, checks and --help
 *
 * An option is --name VALUE or --name=VALUE, a flag is --name; -h is --help, and after -- everything is an argument.
 * Options and arguments may be mixed. The last value of an option counts, unless it collects its values. An environment
 * variable is read first, so the command line wins.
 *
 *     static struct { uint64_t steps; int quiet; } o = { .steps = 1000 };
 *     const mscope_option table[] = {
 *         { "steps", "N", "length of a run (1000)", .count = &o.steps, .low = 1, .high = 1e9 },
 *         { "quiet", NULL, "print only errors", .flag = &o.quiet },
 *         { .name = NULL }
 *     };
 *     const mscope_command run = { .name = "momentscope bench run", .usage = "WORKLOAD [OPTION...]", .option = table,
 *                                  .least = 1, .most = 1, ... };
 *     int args, code = mscope_options_read(&run, argc, argv, &args);
 *     if (code != MSCOPE_OPTIONS_GO_ON)
 *         return code;                                                                                      */
#ifndef MSCOPE_COMMON_OPTIONS_H
#define MSCOPE_COMMON_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "mscope/err.h"

enum { MSCOPE_OPTIONS_GO_ON = -1, MSCOPE_TEXTS_MAX = 64, MSCOPE_WHY_MAX = 512 };

/* The values of an option that may be repeated, in the order given. */
typedef struct mscope_texts {
    const char *at[MSCOPE_TEXTS_MAX];
    size_t n;
} mscope_texts;

/* mscope_option_check - take one value; called for each occurrence, in order
 *
 * Returns  0, or -1 with a sentence in why that follows "--name is 'VALUE': ", such as "expected a, b or c"   */
typedef int mscope_option_check(void *context, const char *value, char *why, size_t cap);

/* Exactly one target is not NULL, and tells the type. A target that no one names keeps its value.               */
typedef struct mscope_option {
    const char *name;            /* without "--"; NULL ends the table                                       */
    const char *arg;             /* "SECONDS", "FILE"; NULL for a flag                                      */
    const char *help;            /* wrapped by --help; NULL: an alias that --help does not list             */
    int *flag;                   /* set to 1                                                                */
    const char **text;           /* borrowed from argv or the environment                                   */
    mscope_texts *texts;         /* the same, repeated                                                      */
    double *real;                /* low .. high; low = high = 0: any number, infinities too                 */
    uint64_t *count;             /* a whole number low .. high, likewise                                    */
    uint64_t *bytes;             /* the same; K, M and G mean 2^10, 2^20 and 2^30                           */
    mscope_option_check *check;  /* anything else                                                           */
    void *context;               /* for check                                                               */
    double low, high;
    const char *env;             /* an environment variable that gives the value; NULL: none. Not for flags  */
} mscope_option;

/* Texts are wrapped at 80 columns by --help; a newline in them starts a new line, which is wrapped by itself.   */
typedef struct mscope_command {
    const char *name;            /* "momentscope watch": begins every message                               */
    const char *usage; /* what follows the name, "FILE [OPTION...]"; one line for each way to call it, a line that
                          begins with a blank goes on with the one before */
    const char *about;           /* what the command does                                                   */
    const mscope_option *option;
    const char *notes;           /* after the options; NULL: nothing                                        */
    const char *example;         /* command lines, never wrapped                                            */
    const char *exits;           /* "0 success\n1 nothing came": one line an exit code                      */
    int least, most;             /* how many arguments beside the options                                   */
    const char *argument;        /* their name, for "missing FILE"                                          */
    int silent;                  /* print nothing: a rank of a parallel run that is not the first            */
} mscope_command;

/* mscope_options_read - environment, then argv[1] .. argv[argc-1], into the targets; *args arguments to argv[1] ..
 * argv[*args]
 *
 * args may be NULL when most is 0.
 * Returns  MSCOPE_OPTIONS_GO_ON; MSCOPE_EXIT_OK after --help on stdout; MSCOPE_EXIT_USAGE after one line on stderr that
 *          names the option, its value and what was expected                                               */
MSCOPE_MUST_CHECK int mscope_options_read(const mscope_command *c, int argc, char **argv, int *args);

/* mscope_options_refuse - a value that only the command can judge: "NAME: --option is 'value', expected RANGE" on
 * stderr
 *
 * value is the pointer that the target received: if it came from the environment, the variable is named instead. An
 * option that is not in the table is taken for the name of an argument, such as FILE.
 * Returns  MSCOPE_EXIT_USAGE                                                                               */
int mscope_options_refuse(const mscope_command *c, const char *option, const char *value, const char *range);

/* mscope_options_help - the text of --help on stdout */
void mscope_options_help(const mscope_command *c);

#endif
