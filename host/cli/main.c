/* main.c - momentscope COMMAND ...: the table of commands and nothing else */
#include "cli.h"

#include <stdio.h>
#include <string.h>

#include "choices.h"
#include "mscope/wire.h"
#include "protocol/standard.h"

static const mscope_choice commands[] = {
    { "watch", "show what momentum does to each activity band, live", mscope_cmd_watch },
    { "serve", "a page in the browser, live; JSON; metrics for Prometheus", mscope_cmd_serve },
    { "alerts", "what happened while serve ran", mscope_cmd_alerts },
    { "report", "one file of a run to look at and to send: HTML, PDF, SVG, PNG", mscope_cmd_report },
    { "check", "judge each band; the worst verdict is the exit code", mscope_cmd_check },
    { "advise", "what no setting can do, and the first stage to a faster one", mscope_cmd_advise },
    { "export", "rules for Prometheus, a dashboard for Grafana, metrics in a file", mscope_cmd_export },
    { "predict", "what the theory says about a setting", mscope_cmd_predict },
    { "record", "record a training run into a file", mscope_cmd_record },
    { "play", "play a recorded run into a daemon, or list what it holds", mscope_cmd_play },
    { "keys", "keys for a daemon that other machines reach", mscope_cmd_keys },
    { "bench", "compare schedules on workloads with known answers; the papers' claims", mscope_cmd_bench },
};

static const mscope_choices program = {
    .name = "momentscope",
    .what = "COMMAND",
    .kind = "command",
    .choice = commands,
    .n = sizeof commands / sizeof commands[0],
    .about = "momentscope --version prints the versions of program and wire.",
    .example = "momentscope watch",
    .exits = "0 success\n1 the command failed\n2 wrong usage; a command may define more",
};

int main(int argc, char **argv)
{
    char name[80] = "momentscope";
    int code = MSCOPE_EXIT_OK;

    mscope_standard_open();
    if (argc >= 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("momentscope %s (wire %d)\n", MSCOPE_VERSION, MSCOPE_WIRE_VERSION);
    } else {
        code = mscope_choices_run(&program, argc, argv);
        if (argc >= 2)
            (void)snprintf(name, sizeof name, "momentscope %.60s", argv[1]);
    }
    return mscope_standard_arrived(name, code, MSCOPE_EXIT_FAILED);
}
