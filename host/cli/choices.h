/* choices.h - a table of commands, and the command line that names one of them */
#ifndef MSCOPE_CLI_CHOICES_H
#define MSCOPE_CLI_CHOICES_H

#include <stddef.h>

typedef struct mscope_choice {
    const char *name, *help;
    int (*run)(int argc, char **argv);   /* argv[0] is the name */
} mscope_choice;

typedef struct mscope_choices {
    const char *name;                    /* "momentscope bench" */
    const char *what, *kind;             /* "VERB", "verb" */
    const mscope_choice *choice;
    size_t n;
    const char *about, *example, *exits; /* of --help; NULL: nothing. exits has one line an exit code */
} mscope_choices;

/* mscope_choices_run - --help, or the command that argv[1] names
 *
 * Returns  the command's exit code; MSCOPE_EXIT_OK after --help; MSCOPE_EXIT_USAGE after a line on stderr          */
int mscope_choices_run(const mscope_choices *c, int argc, char **argv);

#endif
