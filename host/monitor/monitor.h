/* monitor.h - live telemetry, from the socket to a judged set: what watch, check and advise have in common
 *
 *     daemon(s)            telemetry and replay sockets                            include/mscope/client.h
 *        |  records in order, holes filled by replay, repeats left out
 *        v
 *     feed                 one daemon passed through, or                           feed.h
 *       `- sharded         the daemons of several shards, merged into one           sharded.h
 *        |  one stream of records, as of one daemon over all rows
 *        v
 *     listen               only the table that is wanted; when is a set full?       listen.h
 *        |
 *        v
 *     judged               a verdict for each band, with the one before in mind     judged.h
 *       |- latest          the latest record of every topic; is the set complete?   latest.h
 *       `- worst           the worst verdict of the set                             worst.h
 *        |
 *        v
 *     a command            prints it: as text by itself, as JSON lines by           set_json.h, record_json.h
 *
 * One set, once:
 *
 *     char why[MSCOPE_WHY_MAX];
 *     mscope_feed_options o = { .telemetry = NULL };           // the defaults; o.shard: several daemons
 *     mscope_judged j = { .rooms = 0 };
 *     mscope_listen l = { .table = "words" };
 *     int rc = mscope_feed_open(&l.feed, &o, why, sizeof why);
 *     if (rc == 0)
 *         rc = mscope_listen_full(&l, 10, &j, why, sizeof why);
 *     if (rc == 0)
 *         mscope_json_set(stdout, &j, NULL);
 *     else
 *         fprintf(stderr, "%s\n", why);
 *     mscope_judged_fini(&j);
 *     mscope_feed_close(l.feed);
 *
 * To follow instead, call mscope_listen_next and mscope_judged_take in turn; mscope_news says which band changed.
 *
 * Nothing here prints, exits, or reads a command line: a function returns a code of mscope/err.h and fills `why` with a
 * sentence, which the command prints. Each shard keeps its latest records and only the merged set is judged. A file
 * calls only files below it in the picture. One thread for each feed; no hidden state, but FFTW's planner in
 * mscope_judged_modes (one thread at a time).                                                                  */
#ifndef MSCOPE_MONITOR_MONITOR_H
#define MSCOPE_MONITOR_MONITOR_H

#include "feed.h"
#include "judged.h"
#include "latest.h"
#include "listen.h"
#include "record_json.h"
#include "set_json.h"
#include "worst.h"

#endif
