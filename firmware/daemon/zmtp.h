/* zmtp.h - the frames in the bytes that a peer sends (ZMTP 3, rfc.zeromq.org/spec/23 and 37), without their contents
 *
 * libzmq shows an application whole messages only. doors.c must know what a message costs while it still comes in. */
#ifndef MSCOPE_DAEMON_ZMTP_H
#define MSCOPE_DAEMON_ZMTP_H

#include <stddef.h>
#include <stdint.h>

enum { MSCOPE_ZMTP_MORE = 1, MSCOPE_ZMTP_LONG = 2, MSCOPE_ZMTP_COMMAND = 4, MSCOPE_ZMTP_BEGIN = 12 };

typedef struct mscope_zmtp {             /* all zero: nothing came in yet                                  */
    uint8_t stage;
    uint8_t curve;                       /* frames are encrypted: flags and contents are hidden            */
    uint8_t got;                         /* bytes of the greeting, of `head` or of `begin`                 */
    uint8_t head[9], begin[MSCOPE_ZMTP_BEGIN];
    uint64_t size, left;                 /* of the frame's body; of it, behind `begin`, still to come      */
} mscope_zmtp;

typedef struct mscope_zmtp_frame {
    uint8_t flags;                       /* MSCOPE_ZMTP_MORE, _COMMAND                                     */
    uint64_t size;                       /* of its body                                                    */
    const uint8_t *begin;                /* the first bytes of the body, MSCOPE_ZMTP_BEGIN if it has them  */
} mscope_zmtp_frame;

/* mscope_zmtp_greeting - has the peer begun its greeting, and not finished it? Peers of other mechanisms leave then */
static inline int mscope_zmtp_greeting(const mscope_zmtp *z) { return z->stage == 0 && z->got > 0; }

/* mscope_zmtp_feed - the next bytes of a connection; `frame` is called for each frame, before most of its body came
 * Returns  0, what `frame` returned unless 0, or -1: this is not ZMTP 3                                   */
int mscope_zmtp_feed(mscope_zmtp *z, const uint8_t *at, size_t len,
                     int (*frame)(void *context, const mscope_zmtp_frame *f), void *context);

#endif
