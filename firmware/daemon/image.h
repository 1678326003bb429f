/* image.h - one table without its rows, as bytes: in the state file and in the head of a mapped table's file */
#ifndef MSCOPE_DAEMON_IMAGE_H
#define MSCOPE_DAEMON_IMAGE_H

#include "stream.h"
#include "engine.h"

/* mscope_image_put - HELLO, history and everything else that a new daemon needs to continue, rows apart */
MSCOPE_MUST_CHECK int mscope_image_put(const mscope_shadow *s, mscope_writer *w);

/* mscope_image_get_hello - the first half: what mscope_shadow_open needs
 * Errors   MSCOPE_EPROTO                                                                                      */
MSCOPE_MUST_CHECK int mscope_image_get_hello(mscope_reader *src, mscope_hello *hello, uint32_t *history);
/* mscope_image_get - the second half, into a table that is open; the caller looks at src->cut */
void mscope_image_get(mscope_reader *src, mscope_shadow *s, uint64_t now_ns);

#endif
