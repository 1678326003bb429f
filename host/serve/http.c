/* http.c - see http.h */
#include "http.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "connections.h"
#include "guard.h"
#include "page.h"
#include "stream.h"

enum { CONNECTIONS = 256, REQUEST_BYTES = 16384, REQUEST_S = 10, ANSWER_S = 60, IDLE_S = 30 };
#define UNDER_WAY (64ull << 20)

struct mscope_http {
    struct MHD_Daemon *daemon;
    mscope_http_options o;
    mscope_hub *hub;
    mscope_counselor *counselor;
    mscope_streams *streams;
    mscope_connections connections;
    atomic_ullong under_way;         /* bytes of answers that are not yet taken   */
    double reaped;
    char url[80];
};

/* -- answers ---------------------------------------------------------------------------------------------- */

static void add(struct MHD_Response *r, const char *name, const char *value)
{
    (void)MHD_add_response_header(r, name, value);
}

/* What every answer says to the browser: ask nobody else, be framed by nobody, believe the type. */
static enum MHD_Result respond(struct MHD_Connection *c, unsigned status, const char *type, struct MHD_Response *r)
{
    enum MHD_Result rc;

    if (r == NULL)
        return MHD_NO;
    add(r, "Content-Type", type);
    add(r, "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    add(r, "X-Content-Type-Options", "nosniff");
    add(r, "X-Frame-Options", "DENY");
    add(r, "Referrer-Policy", "no-referrer");
    add(r, "Cross-Origin-Resource-Policy", "same-origin");
    add(r, "Cross-Origin-Opener-Policy", "same-origin");
    add(r, "Cache-Control", "no-store");
    rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_PERSISTENT);
    if (r != NULL && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        add(r, "Allow", "GET, HEAD");
    if (r != NULL && status == MHD_HTTP_SERVICE_UNAVAILABLE)
        add(r, "Retry-After", "2");
    return respond(c, status, "text/plain; charset=utf-8", r);
}

/* The bytes of an answer, counted until the last one is taken. */
typedef struct parcel {
    mscope_http *server;
    char *bytes;
    size_t len;
} parcel;

static ssize_t give(void *context, uint64_t at, char *buffer, size_t most)
{
    const parcel *p = context;
    const size_t n = p->len - (size_t)at < most ? p->len - (size_t)at : most;

    memcpy(buffer, p->bytes + at, n);
    return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void taken(void *context)
{
    parcel *p = context;

    atomic_fetch_sub(&p->server->under_way, p->len);
    free(p->bytes);
    free(p);
}

static enum MHD_Result send_body(mscope_http *s, struct MHD_Connection *c, const mscope_answer_body *body)
{
    parcel *p = malloc(sizeof *p);
    struct MHD_Response *r = NULL;

    if (p != NULL) {
        *p = (parcel){ s, body->bytes, body->len };
        atomic_fetch_add(&s->under_way, body->len);
        r = MHD_create_response_from_callback(body->len, 65536, give, p, taken);
        if (r == NULL)
            taken(p);
    } else {
        free(body->bytes);
    }
    return respond(c, (unsigned)body->status, body->type, r);
}

/* -- questions -------------------------------------------------------------------------------------------- */

static const char *argument(void *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result stream(mscope_http *s, struct MHD_Connection *c, struct mscope_connection *one)
{
    struct MHD_Response *r = mscope_streams_join(s->streams, c);

    if (r == NULL)
        return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "there are too many streams\n");
    mscope_connections_allow(&s->connections, one, 0);
    return respond(c, MHD_HTTP_OK, "text/event-stream", r);
}

static enum MHD_Result answer(mscope_http *s, struct MHD_Connection *c, const char *path)
{
    const mscope_page_file *file = mscope_page_file_at(path);
    mscope_answer_body body;
    mscope_question q;

    if (file != NULL)
        return respond(c, MHD_HTTP_OK, file->type,
                    MHD_create_response_from_buffer(file->len, (void *)(uintptr_t)file->bytes, MHD_RESPMEM_PERSISTENT));
    if (mscope_question_read(&q, argument, c) != 0)
        return say(c, MHD_HTTP_BAD_REQUEST, "after, from, since, limit and alarms are numbers\n");
    if (atomic_load(&s->under_way) > UNDER_WAY)
        return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "too many answers are under way\n");
    switch (mscope_answer_to(s->hub, s->counselor, path, &q, &body)) {
    case 1: return send_body(s, c, &body);
    case 0: return say(c, MHD_HTTP_NOT_FOUND, "no such page\n");
    default: return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
    }
}

static struct mscope_connection *place_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

/* Requests with a body are none of ours, whatever the method. */
static int has_body(struct MHD_Connection *c)
{
    const char *len = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");

    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Transfer-Encoding") != NULL ||
           (len != NULL && strcmp(len, "0") != 0);
}

/* What can be refused by the head of a request alone; MHD_YES: nothing. An answer at this point ends the connection. */
static enum MHD_Result look(mscope_http *s, struct MHD_Connection *c, const char *method)
{
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");

    if (!mscope_guard_host(host, &s->o.hosts))
        return say(c, MHD_HTTP_MISDIRECTED_REQUEST,
                   "the Host header is none of this server's names; momentscope serve --host NAME allows one\n");
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    if (has_body(c))
        return say(c, MHD_HTTP_BAD_REQUEST, "a request has no body here\n");
    return MHD_YES;
}

/* libmicrohttpd calls twice: with the head of a request, and when all of it is there. */
static enum MHD_Result handle(void *context, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **state)
{
    mscope_http *s = context;

    (void)version;
    (void)upload;
    (void)upload_size;
    mscope_connections_allow(&s->connections, place_of(c), ANSWER_S);
    if (*state == NULL) {
        *state = s;
        return look(s, c, method);
    }
    if (strcmp(url, "/events") == 0 && strcmp(method, "GET") == 0)
        return stream(s, c, place_of(c));
    return answer(s, c, url);
}

static void completed(void *context, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
    mscope_http *s = context;

    (void)code;
    *state = NULL;
    mscope_connections_allow(&s->connections, place_of(c), IDLE_S);
}

static void connection(void *context, struct MHD_Connection *c, void **socket, enum MHD_ConnectionNotificationCode code)
{
    mscope_http *s = context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket = mscope_connections_came(&s->connections, info != NULL ? info->connect_fd : -1, REQUEST_S);
    } else {
        mscope_connections_left(&s->connections, *socket);
        *socket = NULL;
    }
}

/* -- begin and end ------------------------------------------------------------------------------------------ */

static void quiet(void *context, const char *format, va_list args)
{
    (void)context;
    (void)format;
    (void)args;
}

static socklen_t make_address(const mscope_http_options *o, struct sockaddr_storage *out)
{
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, o->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(o->port);
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, o->address, &six->sin6_addr) != 1)
        return 0;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(o->port);
    return sizeof *six;
}

/* A listening socket of our own, so that what is wrong can be said. */
static int bound(mscope_http *s, char *why, size_t cap)
{
    struct sockaddr_storage address;
    socklen_t len = make_address(&s->o, &address);
    const int on = 1, fd = len > 0 ? socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    uint16_t port;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address, len) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        (void)snprintf(why, cap, "cannot listen at %s port %u: %s", s->o.address, s->o.port,
                       len == 0 ? "not a numeric address" : strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    port = ntohs(address.ss_family == AF_INET ? ((const struct sockaddr_in *)&address)->sin_port
                                              : ((const struct sockaddr_in6 *)&address)->sin6_port);
    (void)snprintf(s->url, sizeof s->url, address.ss_family == AF_INET ? "http://%s:%u/" : "http://[%s]:%u/",
                   s->o.address, port);
    return fd;
}

static int start(mscope_http *s, char *why, size_t cap)
{
    const int fd = bound(s, why, cap);

    if (fd < 0)
        return MSCOPE_EIO;
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, s,
        MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES, MHD_OPTION_NOTIFY_CONNECTION, connection, s,
        MHD_OPTION_NOTIFY_COMPLETED, completed, s, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (s->daemon != NULL)
        return 0;
    (void)snprintf(why, cap, "the server did not start");
    (void)close(fd);
    return MSCOPE_EIO;
}

int mscope_http_open(mscope_http **out, const mscope_http_options *o, mscope_hub *h, mscope_counselor *c, char *why,
                     size_t cap)
{
    mscope_http *s = calloc(1, sizeof *s);
    int rc;

    *out = NULL;
    (void)snprintf(why, cap, "out of memory");
    if (s == NULL)
        return MSCOPE_ENOMEM;
    s->o = *o;
    s->hub = h;
    s->counselor = c;
    atomic_init(&s->under_way, 0);
    mscope_connections_init(&s->connections);
    rc = mscope_streams_open(&s->streams, h);
    if (rc == 0)
        rc = start(s, why, cap);
    if (rc != 0) {
        mscope_streams_close(s->streams);
        free(s);
        return rc;
    }
    *out = s;
    return 0;
}

const char *mscope_http_url(const mscope_http *s)
{
    return s->url;
}

void mscope_http_tick(mscope_http *s)
{
    mscope_streams_tick(s->streams);
    if (mscope_monotonic_s() - s->reaped < 1)
        return;
    s->reaped = mscope_monotonic_s();
    mscope_connections_reap(&s->connections);
}

void mscope_http_close(mscope_http *s)
{
    if (s == NULL)
        return;
    mscope_streams_stop(s->streams);
    MHD_stop_daemon(s->daemon);
    mscope_streams_close(s->streams);
    (void)pthread_mutex_destroy(&s->connections.lock);
    free(s);
}
