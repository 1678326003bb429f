/* connections.h - connections that take too long: a request must be complete, and an answer taken, within a time
 *
 * libmicrohttpd closes a connection that is silent; one that sends or takes a byte now and then it keeps. Here every
 * connection has a deadline, moved when a request is complete and lifted for streams.
 *
 * Threads  any                                                                                                 */
#ifndef MSCOPE_SERVE_CONNECTIONS_H
#define MSCOPE_SERVE_CONNECTIONS_H

#include <pthread.h>

enum { MSCOPE_CONNECTIONS_MAX = 512 };

typedef struct mscope_connections {
    pthread_mutex_t lock;
    struct mscope_connection {
        int fd;                              /* -1: free                                                        */
        double deadline;                     /* monotonic; 0: none                                              */
    } at[MSCOPE_CONNECTIONS_MAX];
} mscope_connections;

void mscope_connections_init(mscope_connections *c);

/* mscope_connections_came - a connection began; NULL when there is no place */
struct mscope_connection *mscope_connections_came(mscope_connections *c, int fd, double within_s);

/* mscope_connections_allow - it has this long from now on; 0: for ever.  one may be NULL */
void mscope_connections_allow(mscope_connections *c, struct mscope_connection *one, double within_s);

/* mscope_connections_left - before its socket is closed.  one may be NULL */
void mscope_connections_left(mscope_connections *c, struct mscope_connection *one);

/* mscope_connections_reap - shut down what is past its deadline; call it about once a second */
void mscope_connections_reap(mscope_connections *c);

#endif
