/* systemd.h - what systemd is told: ready, alive, stopping (sd_notify(3), its protocol written here: one datagram)
 *
 * Without $NOTIFY_SOCKET, or with n NULL, every call does nothing. No call waits: a message that finds no room is
 * dropped, and the next alive says the same.                                                                      */
#ifndef MSCOPE_DAEMON_SYSTEMD_H
#define MSCOPE_DAEMON_SYSTEMD_H

#include <stdint.h>

typedef struct mscope_systemd {
    int fd;                          /* -1: nobody listens                                                       */
    uint64_t every_ns, next_ns;      /* half of $WATCHDOG_USEC; 0: no watchdog waits for this process             */
} mscope_systemd;

/* mscope_systemd_open - read the environment, and take its variables out of it: children must not speak for us */
void mscope_systemd_open(mscope_systemd *n);

/* mscope_systemd_say - one message, lines of VARIABLE=VALUE: "READY=1\nSTATUS=..." */
void mscope_systemd_say(const mscope_systemd *n, const char *message);

/* mscope_systemd_alive - tell the watchdog that the loop runs, when half of its time is over; now_ns of clock.h */
void mscope_systemd_alive(mscope_systemd *n, uint64_t now_ns);

void mscope_systemd_close(mscope_systemd *n);

#endif
