/* shm.h - the handshake that hands the ring of shared memory to a daemon on this machine
 *
 * Private to the client. Everything runs on the caller's thread and never waits. */
#ifndef MSCOPE_CLIENT_SHM_H
#define MSCOPE_CLIENT_SHM_H

#include "mscope/client.h"
#include "shm_ring.h"

enum { MSCOPE_SHM_DOWN, MSCOPE_SHM_ASKED, MSCOPE_SHM_UP };

typedef struct mscope_shm_link {
    mscope_shm_ring ring;
    int mode, state;                     /* enum mscope_transport; MSCOPE_SHM_DOWN, _ASKED or _UP      */
    int offered;                         /* the WELCOME offers shared memory: 1, not: -1; no WELCOME yet: 0 */
    int socket;                          /* the connection over which the ring was offered, or -1      */
    uint64_t id, retry_at;               /* number of the latest offer; ns: no offer before            */
    int warming;                         /* an offer is due once all pages of the ring are there       */
    size_t fitted;                       /* the tables for which the ring is large enough              */
    int told, tries;                     /* on this connection: its absence was reported; failed offers */
} mscope_shm_link;

/* mscope_shm_choose - the mode given, or $MOMENTSCOPE_TRANSPORT ("auto", "zmq", "shm"), else auto */
MSCOPE_MUST_CHECK int mscope_shm_choose(int *mode, enum mscope_transport given, const char *endpoint);
void mscope_shm_init(mscope_shm_link *l, int mode);
void mscope_shm_fini(mscope_shm_link *l);
/* mscope_shm_fit - make the ring, or a larger one for a larger table; does nothing while the ring is in use */
void mscope_shm_fit(mscope_client *c);
/* mscope_shm_pump - offer the ring, take in the answer */
void mscope_shm_pump(mscope_client *c);
/* mscope_shm_down - the daemon does not have the ring any more, or never had it; offer it again from retry_at (ns) */
void mscope_shm_down(mscope_shm_link *l, uint64_t retry_at);

#endif
