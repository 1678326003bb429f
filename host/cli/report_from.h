/* report_from.h - the records of a run into a story: from JSON lines, from a recording, from a running daemon */
#ifndef MSCOPE_CLI_REPORT_FROM_H
#define MSCOPE_CLI_REPORT_FROM_H

#include "listening.h"
#include "serve/story.h"

typedef struct mscope_report_from {
    const char *file;                /* NULL: a running daemon; "-": standard input                                */
    uint64_t every;                  /* steps from record to record of a recording; 0: chosen by its length        */
    mscope_listening listening;
    char name[128], how[256];        /* what it was, filled in                                                     */
} mscope_report_from;

/* mscope_report_read - MSCOPE_EXIT_OK, or an exit code after a line on stderr */
MSCOPE_MUST_CHECK int mscope_report_read(mscope_report_from *f, const char *command, mscope_story *s);

#endif
