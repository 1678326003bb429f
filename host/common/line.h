/* line.h - lines of text that come from outside, none longer than a bound */
#ifndef MSCOPE_COMMON_LINE_H
#define MSCOPE_COMMON_LINE_H

#include <stddef.h>
#include <stdio.h>

/* The longest line that is read. A record of watch --json has some hundred bytes, a run of bench some ten thousand. */
#define MSCOPE_LINE_MOST (16u << 20)

/* mscope_line_next - the next line into *line, with its newline and a NUL behind it; as getline, with a bound
 *
 * Shape    *line: NULL, or from malloc with *room bytes; it grows here, and the caller frees it
 * Returns  its length; 0: there is no more, or ferror(in); -1: memory ran out (errno ENOMEM), or the line has more than
 *          MSCOPE_LINE_MOST bytes (errno EMSGSIZE), and then nothing more should be read from in               */
long mscope_line_next(char **line, size_t *room, FILE *in);

/* mscope_line_why - static text of errno after -1 */
const char *mscope_line_why(void);

#endif
