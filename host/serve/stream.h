/* stream.h - live updates: the state in brief, sent to every listener again and again (server-sent events)
 *
 * A listener gets the newest state whenever it is ready to read one, and never an old one: there is no queue, so a slow
 * reader costs nothing. At most MSCOPE_STREAMS_MAX listeners at a time.
 *
 * Threads  next, free: those of libmicrohttpd; tick: one other                                                */
#ifndef MSCOPE_SERVE_STREAM_H
#define MSCOPE_SERVE_STREAM_H

#include <microhttpd.h>

#include "hub.h"

enum { MSCOPE_STREAMS_MAX = 64 };

typedef struct mscope_streams mscope_streams;

MSCOPE_MUST_CHECK int mscope_streams_open(mscope_streams **out, mscope_hub *h);
void mscope_streams_close(mscope_streams *s);

/* mscope_streams_join - the response that keeps a connection supplied; NULL: there are too many, or no memory */
struct MHD_Response *mscope_streams_join(mscope_streams *s, struct MHD_Connection *connection);

/* mscope_streams_tick - render what is new and wake its listeners; call it some times a second */
void mscope_streams_tick(mscope_streams *s);

/* mscope_streams_stop - end all streams, before the server is stopped */
void mscope_streams_stop(mscope_streams *s);

int mscope_streams_count(mscope_streams *s);

#endif
