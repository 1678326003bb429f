/* check.h - what the client is given, judged before anything is done, and refusals in words
 *
 * A check returns 0, or a code whose field, value and range mscope_client_fault then tells on this thread. */
#ifndef MSCOPE_CLIENT_CHECK_H
#define MSCOPE_CLIENT_CHECK_H

#include "state.h"

enum { MSCOPE_BUFFER_MIN = 4096 };

mscope_refusal *mscope_why(void);                            /* of this thread, to be filled           */
int mscope_why_memory(const char *what);
int mscope_why_row(const mscope_client_table *t, int64_t row);

/* mscope_refusal_note - keep an error in the stats, and report the first one of its field on stderr
 * who: the beginning of that line, for example "daemon refused" */
void mscope_refusal_note(mscope_client *c, const char *who, const mscope_refusal *why);

MSCOPE_MUST_CHECK int mscope_check_client(const mscope_client *c);
MSCOPE_MUST_CHECK int mscope_check_table(const mscope_client *c, int table);
MSCOPE_MUST_CHECK int mscope_check_options(const mscope_client_options *o);
MSCOPE_MUST_CHECK int mscope_check_info(const mscope_client *c, const mscope_attach_info *in);
MSCOPE_MUST_CHECK int mscope_check_step(const mscope_client_table *t, const mscope_step *s);
MSCOPE_MUST_CHECK int mscope_check_values(const mscope_client_table *t, unsigned value_type);
MSCOPE_MUST_CHECK int mscope_check_gradient(const mscope_client_table *t, const void *values, unsigned value_type,
                                            const uint32_t *counts, size_t n);

/* mscope_endpoint_choose - given, or the default of which ("ingest", "telemetry", "replay") when it is NULL */
MSCOPE_MUST_CHECK int mscope_endpoint_choose(mscope_endpoint *e, const char *which, const char *given,
                                             const char *field);
/* mscope_endpoint_connect - whose daemon is there is looked at before
 * mscope_why_owner, _keys - fill the fault: it is not to be trusted, or the keys do not fit; returns its code */
MSCOPE_MUST_CHECK int mscope_endpoint_connect(const mscope_endpoint *e, void *socket);
int mscope_why_owner(const mscope_endpoint *e, const char *why);
int mscope_why_keys(const mscope_endpoint *e, int code, const char *why);

#endif
