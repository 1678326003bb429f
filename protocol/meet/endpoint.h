/* endpoint.h - addresses that follow from another address (private to daemon and client)
 *
 * mscope_default_endpoint, in endpoint.c too, is declared in mscope/wire.h.                                     */
#ifndef MSCOPE_PROTOCOL_MEET_ENDPOINT_H
#define MSCOPE_PROTOCOL_MEET_ENDPOINT_H

#include <stddef.h>

#include "mscope/err.h"

/* mscope_default_directory - the directory of the default endpoints, made or not
 * Errors   MSCOPE_ENOMEM out[cap] cannot take it                                                              */
MSCOPE_MUST_CHECK int mscope_default_directory(char *out, size_t cap);

/* mscope_shm_path - path of the shared-memory socket beside an ingest endpoint: the endpoint's path and ".shm"
 * Errors   MSCOPE_EINVAL the endpoint has no path (tcp, an abstract name), or out[cap] cannot take it          */
MSCOPE_MUST_CHECK int mscope_shm_path(const char *endpoint, char *out, size_t cap);

#endif
