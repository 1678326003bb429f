/* choices.c - see choices.h */
#include "choices.h"

#include <stdio.h>
#include <string.h>

#include "common/exit.h"
#include "common/manual.h"

static void help(const mscope_choices *c, FILE *to)
{
    fprintf(to, "usage: %s %s [OPTION...]\n\n", c->name, c->what);
    for (size_t i = 0; i < c->n; i++)
        fprintf(to, "  %-10s %s\n", c->choice[i].name, c->choice[i].help);
    fprintf(to, "\n%s %s --help lists the options, an example and the exit codes.\n", c->name, c->what);
    if (c->about != NULL)
        fprintf(to, "%s\n", c->about);
    if (c->example != NULL)
        fprintf(to, "\nexample: %s\n", c->example);
    fprintf(to, "\nexit codes:\n");
    for (const char *line = c->exits; *line != '\0'; line += line[strcspn(line, "\n")] == '\n') {
        fprintf(to, "  %.*s\n", (int)strcspn(line, "\n"), line);
        line += strcspn(line, "\n");
    }
}

static void manual(const mscope_choices *c)
{
    char usage[64];
    const char *const said = usage;

    (void)snprintf(usage, sizeof usage, "%s [OPTION...]", c->what);
    mscope_manual_line("name", &c->name, 1);
    mscope_manual_line("usage", &said, 1);
    mscope_manual_line("about", &c->about, 1);
    for (size_t i = 0; i < c->n; i++)
        mscope_manual_line("command", (const char *const[]){ c->choice[i].name, c->choice[i].help }, 2);
    mscope_manual_line("example", &c->example, 1);
    mscope_manual_line("exits", &c->exits, 1);
}

int mscope_choices_run(const mscope_choices *c, int argc, char **argv)
{
    if (argc < 2) {
        help(c, stderr);
        return MSCOPE_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help(c, stdout);
        return MSCOPE_EXIT_OK;
    }
    if (strcmp(argv[1], MSCOPE_MANUAL_FLAG) == 0) {
        manual(c);
        return MSCOPE_EXIT_OK;
    }
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(argv[1], c->choice[i].name) == 0)
            return c->choice[i].run(argc - 1, argv + 1);
    fprintf(stderr, "%s: no %s '%s'; %s --help lists them\n", c->name, c->kind, argv[1], c->name);
    return MSCOPE_EXIT_USAGE;
}
