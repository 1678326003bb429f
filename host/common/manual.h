/* manual.h - what --help shows, as data: `COMMAND --help=data`, from which manual pages and shell completions are made
 *
 * A line is a key and its fields, with a tab before each field; in a field \t, \n and \\ are a tab, a newline and a
 * backslash. Of a command:   name, usage, about, notes, example, exits, argument (each once, one field)
 *                            option   NAME   VALUE, empty for a flag   HELP   VARIABLE, empty for none
 * Of a program or command that chooses among others: name, about, example, exits, command   NAME   HELP
 * momentscoped --help=data speaks the same (firmware/daemon/options.c); host/install/helpdata.py reads it.          */
#ifndef MSCOPE_COMMON_MANUAL_H
#define MSCOPE_COMMON_MANUAL_H

#include "options.h"

#define MSCOPE_MANUAL_FLAG "--help=data"

/* mscope_manual_line - one line on stdout: key and n fields; NULL is empty, and a NULL that is alone prints nothing */
void mscope_manual_line(const char *key, const char *const *field, size_t n);

/* mscope_manual_command - all that --help tells of c, on stdout */
void mscope_manual_command(const mscope_command *c);

#endif
