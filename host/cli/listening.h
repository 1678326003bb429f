/* listening.h - what watch, check and advise share: the options that choose a feed, opening it, and signals */
#ifndef MSCOPE_CLI_LISTENING_H
#define MSCOPE_CLI_LISTENING_H

#include "common/options.h"
#include "keys_option.h"
#include "monitor/monitor.h"

typedef struct mscope_listening {
    mscope_feed_options from;
    const char *table;
    double wait_s;
} mscope_listening;

/* Rows of an option table for the fields of l; of a command that also binds without MSCOPE_KEYS_OPTION. */
#define MSCOPE_LISTENING_OPTIONS(l) MSCOPE_LISTENING_PLACES(l), MSCOPE_KEYS_OPTION

#define MSCOPE_LISTENING_PLACES(l)                                                                             \
    { "table", "NAME", "only this table", .text = &(l)->table },                                               \
    { "telemetry", "ADDRESS",                                                                                  \
      "where the daemon publishes (default: $MOMENTSCOPE_TELEMETRY, else its usual place)",                    \
      .text = &(l)->from.telemetry },                                                                          \
    { "replay", "ADDRESS",                                                                                     \
      "where the daemon replays lost records (default: $MOMENTSCOPE_REPLAY, else its usual place); '' for no"  \
      " replay", .text = &(l)->from.replay },                                                                  \
    { "shard", "ADDRESS",                                                                                      \
      "telemetry of the daemon of one shard; repeat it for each shard. Their rows are taken as one table, and" \
      " the output says how many steps they are apart", .texts = &(l)->from.shard }

/* mscope_listening_open - open the feed of l and catch SIGINT, SIGTERM and SIGHUP
 *
 * Returns  MSCOPE_OPTIONS_GO_ON, or an exit code after a line on stderr. out->feed is to be closed by the caller   */
MSCOPE_MUST_CHECK int mscope_listening_open(const mscope_listening *l, const char *command, mscope_listen *out);

/* mscope_listening_full - one full set into j; MSCOPE_EXIT_OK, or an exit code after a line on stderr */
MSCOPE_MUST_CHECK int mscope_listening_full(const mscope_listening *l, const char *command, const mscope_listen *from,
                                            mscope_judged *j);

/* mscope_listening_left - a line on stderr for each table whose trainer has gone: its records are not of now */
void mscope_listening_left(const char *command, const mscope_judged *j);

/* mscope_listening_leaves - the same line where the next record, which j has not taken yet, says that one has gone */
void mscope_listening_leaves(const char *command, const mscope_judged *j, const mscope_telemetry *next);

/* mscope_listening_heard - 1: standard output can be written, and somebody may read it */
int mscope_listening_heard(void);

/* mscope_listening_nothing - say on stderr what is missing after waited seconds; MSCOPE_EXIT_FAILED */
int mscope_listening_nothing(const char *command, const mscope_listen *from, const mscope_judged *j, double waited);

#endif
