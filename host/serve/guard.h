/* guard.h - which requests are answered at all
 *
 * A page of another site can make a browser send requests here, and with its own name bound to this address (DNS
 * rebinding) it could read the answers. So the Host header must name this machine as the user names it.        */
#ifndef MSCOPE_SERVE_GUARD_H
#define MSCOPE_SERVE_GUARD_H

#include "common/options.h"

/* mscope_guard_host - is this Host header one of ours? Any port is: a tunnel may end at another one
 *
 * Shape    host: NULL where the request has none. names: more names that are allowed, without a port
 * Returns  1 for localhost, 127.x.y.z, [::1] and names; else 0.   Threads any                                   */
int mscope_guard_host(const char *host, const mscope_texts *names);

/* mscope_guard_loopback - is this numeric address one that only this machine reaches? */
int mscope_guard_loopback(const char *address);

#endif
