/* http.h - the server: libmicrohttpd, a table of paths, limits, and headers that keep other sites out
 *
 *     http.c          takes requests: method, Host (guard.h), path; nothing of a request names a file or a command
 *       |- page.c     the page, built into the program
 *       |- answers.c  JSON and metrics from what the hub knows
 *       |- stream.c   live updates
 *       `- connections.c  who takes too long is let go
 *
 * One thread of libmicrohttpd serves all connections. Limits: 256 connections, 16 KiB of a request, 10 s for a request
 * to be complete, 60 s for an answer to be taken, 64 MiB of answers under way (503 above), 64 streams.          */
#ifndef MSCOPE_SERVE_HTTP_H
#define MSCOPE_SERVE_HTTP_H

#include <stdint.h>

#include "answers.h"

typedef struct mscope_http_options {
    const char *address;             /* numeric, IPv4 or IPv6                                                   */
    uint16_t port;                   /* 0: any that is free                                                     */
    mscope_texts hosts;              /* names beside localhost and loopback that a Host header may have         */
} mscope_http_options;

typedef struct mscope_http mscope_http;

/* mscope_http_open - bind and begin to answer
 *
 * Owns     strings of o, h and c must outlive it
 * Errors   MSCOPE_EIO with a sentence in why; MSCOPE_ENOMEM                                                     */
MSCOPE_MUST_CHECK int mscope_http_open(mscope_http **out, const mscope_http_options *o, mscope_hub *h,
                                       mscope_counselor *c, char *why, size_t cap);

/* mscope_http_url - where it is reached, "http://127.0.0.1:7411/" */
const char *mscope_http_url(const mscope_http *s);

/* mscope_http_tick - send what is new, let go who takes too long; call it some times a second */
void mscope_http_tick(mscope_http *s);

void mscope_http_close(mscope_http *s);

#endif
