/* hook.h - tell somebody when something happens: a command that is run, an address that is posted to
 *
 * Command and address come from the command line alone. The happening goes to the command's standard input as one JSON
 * object, and is never a part of the command line. One is told at a time, by a thread of its own; at most 64 wait, and
 * more are dropped and counted. A command that takes longer than 30 s is killed.
 *
 * Told are alarms, their end, and a daemon that falls silent, is heard again, or was restarted.               */
#ifndef MSCOPE_SERVE_HOOK_H
#define MSCOPE_SERVE_HOOK_H

#include "story.h"

typedef struct mscope_hook mscope_hook;

/* mscope_hook_open - start the thread
 *
 * Shape    command: for /bin/sh -c, NULL: none. url_file: a file whose first line is an http or https address, so that
 *          a secret in it stands in no process list; NULL: none
 * Errors   MSCOPE_EINVAL: the file has no such line, or curl is missing; MSCOPE_EIO, MSCOPE_ENOMEM; why says it     */
MSCOPE_MUST_CHECK int mscope_hook_open(mscope_hook **out, const char *command, const char *url_file, char *why,
                                         size_t cap);

/* mscope_hook_close - tell those that wait, at most for 5 s, and end; NULL: nothing */
void mscope_hook_close(mscope_hook *n);

/* mscope_hook_tell - put one into the queue; never waits.  Threads any */
void mscope_hook_tell(mscope_hook *n, const mscope_happening *h, const char *source, long long id);

#endif
