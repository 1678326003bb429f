/* header.h - the two halves of mscope_header_decode (private to protocol and daemon)
 *
 * An undamaged header with a bad field still says which message of which session it is, and the daemon must consume
 * that message.                                                                                               */
#ifndef MSCOPE_PROTOCOL_HEADER_H
#define MSCOPE_PROTOCOL_HEADER_H

#include "mscope/wire.h"

/* mscope_header_read - check length, magic, checksum and version; then *h holds every field, not judged yet
 * Errors   MSCOPE_EPROTO, MSCOPE_EVERSION, with *why filled; *h untouched                                  */
MSCOPE_MUST_CHECK int mscope_header_read(const uint8_t *bytes, size_t len, mscope_header *h, mscope_refusal *why);

/* mscope_header_check - check every field against its range for this kind
 * Errors   MSCOPE_EINVAL, MSCOPE_ENONFINITE, with *why filled                                              */
MSCOPE_MUST_CHECK int mscope_header_check(const mscope_header *h, mscope_refusal *why);

#endif
