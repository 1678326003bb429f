/* lane.h - gradient frames through shared memory: bytes of the handshake and of descriptors; protocol/README.md,
 * "The lane" (private to protocol, daemon and client)                                                           */
#ifndef MSCOPE_PROTOCOL_LANE_H
#define MSCOPE_PROTOCOL_LANE_H

#include "mscope/wire.h"

enum {
    MSCOPE_LANE_OFFER_LEN = 40,
    MSCOPE_LANE_ANSWER_LEN = 16,         /* before the map of a refusal                              */
    MSCOPE_LANE_PARTS = 4,               /* indices, values, counts, schedule                        */
    MSCOPE_LANE_WHERE_MAX = 8 + 16 * MSCOPE_LANE_PARTS,
    MSCOPE_LANE_ALIGN = 64
};
#define MSCOPE_LANE_MIN 4096u            /* bytes of a ring                                          */
#define MSCOPE_LANE_MAX ((uint64_t)1 << 30)

typedef struct mscope_lane_offer {       /* client to daemon, with the ring's file descriptor        */
    uint64_t session, epoch;             /* of HELLO and of its WELCOME                              */
    uint64_t lane;                       /* number drawn by the client, new in each offer, not 0     */
    uint64_t bytes;                      /* size of the ring                                         */
} mscope_lane_offer;

typedef struct mscope_lane_part {
    uint64_t offset, len;
} mscope_lane_part;

typedef struct mscope_lane_where {       /* one descriptor: where the bodies of a message lie        */
    uint64_t lane;
    unsigned parts;
    mscope_lane_part part[MSCOPE_LANE_PARTS];
} mscope_lane_where;

void mscope_lane_offer_encode(const mscope_lane_offer *o, uint8_t out[MSCOPE_LANE_OFFER_LEN]);
/* Errors   EPROTO length or magic;  EVERSION;  EINVAL a number out of range; *why filled             */
MSCOPE_MUST_CHECK int mscope_lane_offer_decode(const uint8_t *in, size_t len, mscope_lane_offer *o,
                                               mscope_refusal *why);

/* mscope_lane_answer_encode - code 0, or that of *why and its words; returns bytes, at most MSCOPE_HELLO_MAX  */
size_t mscope_lane_answer_encode(const mscope_refusal *why, uint8_t out[MSCOPE_HELLO_MAX]);
/* Returns 0 accepted;  the daemon's code with *why its words;  EPROTO not an answer                  */
MSCOPE_MUST_CHECK int mscope_lane_answer_decode(const uint8_t *in, size_t len, mscope_refusal *why);

/* mscope_lane_where_encode - the descriptor frame; returns its bytes                                 */
size_t mscope_lane_where_encode(const mscope_lane_where *w, uint8_t out[MSCOPE_LANE_WHERE_MAX]);
/* mscope_lane_where_decode - its length alone is checked here, offsets by mscope_lane_where_check    */
MSCOPE_MUST_CHECK int mscope_lane_where_decode(const uint8_t *in, size_t len, mscope_lane_where *w,
                                               mscope_refusal *why);
/* Every part aligned and inside a ring of so many bytes; EINVAL otherwise                            */
MSCOPE_MUST_CHECK int mscope_lane_where_check(const mscope_lane_where *w, uint64_t bytes, mscope_refusal *why);

/* mscope_lane_path - the lane's socket beside an ingest endpoint: its path with ".lane" behind
 * Returns  0, or EINVAL when the endpoint has no path (tcp, abstract name), or one too long for a socket */
MSCOPE_MUST_CHECK int mscope_lane_path(const char *endpoint, char *out, size_t cap);

#endif
