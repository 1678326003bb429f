/* notify.h - what systemd is told: ready, alive, stopping (sd_notify(3), its protocol written here: one datagram)
 *
 * Without $NOTIFY_SOCKET, or with n NULL, every call does nothing. No call waits: a message that finds no room is
 * dropped, and the next alive says the same.                                                                      */
#ifndef MSCOPE_DAEMON_NOTIFY_H
#define MSCOPE_DAEMON_NOTIFY_H

#include <stdint.h>

typedef struct mscope_notify {
    int fd;                          /* -1: nobody listens                                                       */
    uint64_t every_ns, next_ns;      /* half of $WATCHDOG_USEC; 0: no watchdog waits for this process             */
} mscope_notify;

/* mscope_notify_open - read the environment, and take its variables out of it: children must not speak for us */
void mscope_notify_open(mscope_notify *n);

/* mscope_notify_say - one message, lines of VARIABLE=VALUE: "READY=1\nSTATUS=..." */
void mscope_notify_say(const mscope_notify *n, const char *message);

/* mscope_notify_alive - tell the watchdog that the loop runs, when half of its time is over; now_ns of clock.h */
void mscope_notify_alive(mscope_notify *n, uint64_t now_ns);

void mscope_notify_close(mscope_notify *n);

#endif
