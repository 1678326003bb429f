/* monitor.h - the end of a socket that has a monitor (private to daemon and host) */
#ifndef MSCOPE_PROTOCOL_MEET_MONITOR_H
#define MSCOPE_PROTOCOL_MEET_MONITOR_H

#include <zmq.h>

/* mscope_monitored_close - end a socket's monitor, then the socket; NULL is fine
 * To be called before whoever listens to the monitor closes its end: libzmq waits with an event that nobody takes any
 * more until the context ends, and then loses the message that it was in.                                       */
static inline void mscope_monitored_close(void *socket)
{
    if (socket == NULL)
        return;
    (void)zmq_socket_monitor(socket, NULL, 0);
    (void)zmq_close(socket);
}

#endif
