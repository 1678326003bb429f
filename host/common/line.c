/* line.c - see line.h */
#include "line.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST = 256 };

static int widen(char **line, size_t *room)
{
    const size_t want = *room == 0 ? FIRST : 2 * *room;
    char *wider = realloc(*line, want);

    if (wider == NULL)
        return -1;
    *line = wider;
    *room = want;
    return 0;
}

long mscope_line_next(char **line, size_t *room, FILE *in)
{
    size_t n = 0;
    int c = 0, err = 0;

    flockfile(in);
    while (c != '\n' && (c = getc_unlocked(in)) != EOF) {
        if (n == MSCOPE_LINE_MOST)
            err = EMSGSIZE;
        else if (n + 2 > *room && widen(line, room) != 0)
            err = ENOMEM;
        if (err != 0)
            break;
        (*line)[n++] = (char)c;
        (*line)[n] = '\0';
    }
    funlockfile(in);
    if (err == 0)
        return (long)n;
    errno = err;
    return -1;
}

const char *mscope_line_why(void)
{
    return errno == ENOMEM ? "out of memory" : "the line has more than 16 MB";
}
