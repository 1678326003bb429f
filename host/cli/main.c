/* main.c - momentscope COMMAND ...: the table of commands and nothing else */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <poll.h>
#include <unistd.h>

#include "mscope/wire.h"

static const struct command {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "watch", "show what momentum does to each activity band, live", mscope_cmd_watch },
    { "serve", "a page in the browser, live; JSON; metrics for Prometheus", mscope_cmd_serve },
    { "check", "judge each band; the worst verdict is the exit code", mscope_cmd_check },
    { "advise", "what no setting can do, and the first stage to a faster one", mscope_cmd_advise },
    { "export", "rules for Prometheus, a dashboard for Grafana, metrics in a file", mscope_cmd_export },
    { "predict", "what the theory says about a setting", mscope_cmd_predict },
    { "record", "record a training run into a file", mscope_cmd_record },
    { "play", "play a recorded run into a daemon, or list what it holds", mscope_cmd_play },
    { "bench", "compare schedules on workloads with known answers; the papers' claims", mscope_cmd_bench },
};

static const size_t n_commands = sizeof commands / sizeof commands[0];

static void usage(FILE *to)
{
    fprintf(to, "usage: momentscope COMMAND [OPTION...]\n\ncommands:\n");
    for (size_t i = 0; i < n_commands; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\nmomentscope COMMAND --help lists the options of a command, an example and its\n"
                "exit codes. momentscope --version prints the versions of program and wire.\n\n"
                "exit codes: 0 success, 1 the command failed, 2 wrong usage; a command may define\n"
                "more\n");
}

/* errno of an earlier write is lost by now; the pipe itself still knows. */
static int reader_left(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };

    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/* A verdict or table cut short by a full disk is no success. A reader that left early (head) is none of our errors. */
static int arrived(const char *command, int code)
{
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE || reader_left())
        return code;
    fprintf(stderr, "momentscope %s: cannot write standard output: %s\n", command,
            errno != 0 ? strerror(errno) : "a write failed");
    return code == MSCOPE_EXIT_OK ? MSCOPE_EXIT_FAILED : code;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        usage(stdout);
        return arrived(argv[1], MSCOPE_EXIT_OK);
    }
    if (argc >= 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("momentscope %s (wire %d)\n", MSCOPE_VERSION, MSCOPE_WIRE_VERSION);
        return MSCOPE_EXIT_OK;
    }
    if (argc < 2) {
        usage(stderr);
        return MSCOPE_EXIT_USAGE;
    }
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return arrived(argv[1], commands[i].run(argc - 1, argv + 1));
    fprintf(stderr, "momentscope: no command '%s'; momentscope --help lists the commands\n", argv[1]);
    return MSCOPE_EXIT_USAGE;
}
