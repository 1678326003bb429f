/* shm.h - gradients through shared memory: bytes of the handshake and of descriptors; protocol/README.md 1.11
 * (private to protocol, daemon and client)                                                                     */
#ifndef MSCOPE_PROTOCOL_SHM_H
#define MSCOPE_PROTOCOL_SHM_H

#include "mscope/wire.h"

enum {
    MSCOPE_SHM_OFFER_LEN = 40,
    MSCOPE_SHM_ANSWER_LEN = 16,          /* without the map of a refusal                             */
    MSCOPE_SHM_PARTS = 4,               /* indices, values, counts, schedule                        */
    MSCOPE_SHM_DESCRIPTOR_MAX = 8 + 16 * MSCOPE_SHM_PARTS,
    MSCOPE_SHM_ALIGN = 64
};
#define MSCOPE_SHM_MIN 4096u            /* bytes of a ring                                          */
#define MSCOPE_SHM_MAX ((uint64_t)1 << 30)

typedef struct mscope_shm_offer {       /* client to daemon, with the ring's file descriptor        */
    uint64_t session, epoch;             /* of HELLO and of its WELCOME                              */
    uint64_t shm;                        /* number drawn by the client, different in each offer, not 0 */
    uint64_t bytes;                      /* size of the ring                                         */
} mscope_shm_offer;

typedef struct mscope_shm_extent {
    uint64_t offset, len;
} mscope_shm_extent;

typedef struct mscope_shm_descriptor {   /* where the bodies of a message lie                        */
    uint64_t shm;
    unsigned parts;
    mscope_shm_extent part[MSCOPE_SHM_PARTS];
} mscope_shm_descriptor;

void mscope_shm_offer_encode(const mscope_shm_offer *o, uint8_t out[MSCOPE_SHM_OFFER_LEN]);
/* Errors   MSCOPE_EPROTO length or magic;  MSCOPE_EVERSION;  MSCOPE_EINVAL a number out of range;  *why filled */
MSCOPE_MUST_CHECK int mscope_shm_offer_decode(const uint8_t *in, size_t len, mscope_shm_offer *o,
                                               mscope_refusal *why);

/* mscope_shm_answer_encode - accepted when why->code is 0, else that refusal; returns bytes, at most
 * MSCOPE_HELLO_MAX */
size_t mscope_shm_answer_encode(const mscope_refusal *why, uint8_t out[MSCOPE_HELLO_MAX]);
/* mscope_shm_answer_decode - 0: accepted;  the code of the daemon's refusal, in *why;  MSCOPE_EPROTO: not an answer */
MSCOPE_MUST_CHECK int mscope_shm_answer_decode(const uint8_t *in, size_t len, mscope_refusal *why);

/* mscope_shm_descriptor_encode - the descriptor part; returns its bytes                              */
size_t mscope_shm_descriptor_encode(const mscope_shm_descriptor *w, uint8_t out[MSCOPE_SHM_DESCRIPTOR_MAX]);
/* mscope_shm_descriptor_decode - checks the length alone; mscope_shm_descriptor_check checks what it says    */
MSCOPE_MUST_CHECK int mscope_shm_descriptor_decode(const uint8_t *in, size_t len, mscope_shm_descriptor *w,
                                               mscope_refusal *why);
/* mscope_shm_descriptor_check - every body aligned and inside a ring of `bytes`; else MSCOPE_EINVAL          */
MSCOPE_MUST_CHECK int mscope_shm_descriptor_check(const mscope_shm_descriptor *w, uint64_t bytes, mscope_refusal *why);

#endif
