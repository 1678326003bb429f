/* report.c - momentscope report: a finished or running run as one file to look at and to send
 *
 * Where the records come from is report_from.c's; host/serve writes the file.                                   */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/whole.h"
#include "report_from.h"
#include "serve/ledger.h"
#include "serve/paper.h"
#include "serve/report.h"

#define COMMAND "momentscope report"

struct options {
    mscope_report_from from;
    const char *out;
};

static int read_options(int argc, char **argv, struct options *o)
{
    const mscope_option table[] = {
        { "out", "FILE",
          "the report: .html is the page of `serve` with the data inside; .pdf, .svg and .png are pictures for a paper;"
          " -o is the same", .text = &o->out },
        { "every", "N", "of a recording: a record of each band every N steps (default: about 600 in all)",
          .count = &o->from.every, .low = 1, .high = 1e9 },
        { "wait", "SECONDS", "of a running daemon: give up after this long (default: 10)",
          .real = &o->from.listening.wait_s, .low = 0, .high = 1e6 },
        MSCOPE_LISTENING_OPTIONS(&o->from.listening),
        { .name = NULL }
    };
    const mscope_command report = {
        .name = COMMAND,
        .usage = "[RUN.tape|RECORDS.jsonl|-] --out FILE [OPTION...]",
        .about = "Write what momentum did in a run into one file: is anything wrong, the plane of activity and "
                 "curvature, how numbers moved, what happened, what to change. RUN.tape is a recording of momentscope "
                 "record; it is played through a daemon of its own. RECORDS.jsonl is the output of momentscope watch "
                 "--json, - reads it from standard input. Without either, the daemon that runs is asked for all that "
                 "it still has.",
        .option = table,
        .notes = "Verdicts and advice are made anew from the records, as watch and advise do.",
        .example = COMMAND " run.tape -o run.html",
        .exits = "0 FILE was written\n1 there were no records, or something could not be read or written\n"
                 "2 wrong usage",
        .least = 0,
        .most = 1,
        .argument = "RUN",
    };
    int args, code;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "-o") == 0)
            argv[i] = "--out";
    o->from.listening.wait_s = 10;
    code = mscope_options_read(&report, argc, argv, &args);
    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    o->from.file = args > 0 ? argv[1] : NULL;
    if (o->out == NULL) {
        fprintf(stderr, COMMAND ": missing --out FILE; " COMMAND " --help lists the options\n");
        return MSCOPE_EXIT_USAGE;
    }
    if (!mscope_paper_knows(o->out) && (strlen(o->out) < 6 || strcmp(o->out + strlen(o->out) - 5, ".html") != 0))
        return mscope_options_refuse(&report, "out", o->out, "a name that ends in .html, .pdf, .svg or .png");
    return MSCOPE_OPTIONS_GO_ON;
}

static void keep(void *context, const mscope_happening *h)
{
    (void)mscope_ledger_add(context, h, "run");
}

static int write_html(const mscope_report *r, const char *path)
{
    char *bytes = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&bytes, &len);
    int rc = to == NULL ? MSCOPE_ENOMEM : mscope_report_html(r, to);

    if (to != NULL && fclose(to) != 0)
        rc = MSCOPE_ENOMEM;
    if (rc != 0)
        fprintf(stderr, COMMAND ": %s\n", mscope_strerror(rc));
    else if ((rc = mscope_whole_write(path, bytes, len)) != 0)
        fprintf(stderr, COMMAND ": cannot write %s: %s\n", path, strerror(errno));
    else
        printf("%s: %zu kB\n", path, (len + 999) / 1000);
    free(bytes);
    return rc == 0 ? MSCOPE_EXIT_OK : MSCOPE_EXIT_FAILED;
}

static int write_out(const mscope_report *r, const char *path)
{
    const char *why;

    if (!mscope_paper_knows(path))
        return write_html(r, path);
    if (mscope_paper_draw(r, path, &why) == 0) {
        printf("%s\n", path);
        return MSCOPE_EXIT_OK;
    }
    fprintf(stderr, COMMAND ": cannot draw %s: %s\n", path, why);
    return MSCOPE_EXIT_FAILED;
}

int mscope_cmd_report(int argc, char **argv)
{
    static struct options o;
    mscope_story story = { .tell = keep };
    mscope_ledger *ledger = NULL;
    mscope_report r = { .story = &story };
    char why[MSCOPE_WHY_MAX];
    int code = read_options(argc, argv, &o);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    if (mscope_ledger_open(&ledger, NULL, 1, why, sizeof why) != 0) {
        fprintf(stderr, COMMAND ": %s\n", why);
        return MSCOPE_EXIT_FAILED;
    }
    story.context = ledger;
    r.ledger = ledger;
    code = mscope_report_read(&o.from, COMMAND, &story);
    r.name = o.from.name;
    r.how = o.from.how;
    if (code == MSCOPE_EXIT_OK)
        code = write_out(&r, o.out);
    mscope_story_fini(&story);
    mscope_ledger_close(ledger);
    return code;
}
