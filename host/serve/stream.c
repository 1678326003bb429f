/* stream.c - see stream.h */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "common/clock.h"

#define LEAST_S 0.4                  /* between two frames */
#define STILL_S 5.0                  /* a frame is sent after this long even if nothing is new */

/* One event, shared by all who send it at the moment. */
typedef struct frame {
    unsigned refs;
    size_t len;
    char *bytes;
} frame;

typedef struct listener {
    mscope_streams *all;
    struct MHD_Connection *connection;
    frame *sending;                  /* NULL: nothing                                          */
    size_t at;
    unsigned long long seen;         /* number of the last frame that was begun                */
    int asleep;
} listener;

struct mscope_streams {
    mscope_hub *hub;
    pthread_mutex_t lock;
    listener *one[MSCOPE_STREAMS_MAX];
    frame *latest;
    unsigned long long number, version;
    long long alerts;                /* number of the last alert that a frame told of          */
    double rendered;
    int stop;
};

int mscope_streams_open(mscope_streams **out, mscope_hub *h)
{
    mscope_streams *s = calloc(1, sizeof *s);

    *out = s;
    if (s == NULL)
        return MSCOPE_ENOMEM;
    s->hub = h;
    (void)pthread_mutex_init(&s->lock, NULL);
    return 0;
}

static void let_go(frame *f)
{
    if (f == NULL || --f->refs > 0)
        return;
    free(f->bytes);
    free(f);
}

void mscope_streams_close(mscope_streams *s)
{
    if (s == NULL)
        return;
    let_go(s->latest);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

/* -- for libmicrohttpd ------------------------------------------------------------------------------------- */

static ssize_t next(void *context, uint64_t position, char *buffer, size_t most)
{
    listener *l = context;
    mscope_streams *s = l->all;
    ssize_t n = 0;

    (void)position;
    (void)pthread_mutex_lock(&s->lock);
    if (l->sending == NULL && s->latest != NULL && l->seen != s->number && !s->stop) {
        l->sending = s->latest;
        l->sending->refs++;
        l->seen = s->number;
        l->at = 0;
    }
    if (s->stop) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (l->sending == NULL) {
        l->asleep = 1;
        MHD_suspend_connection(l->connection);
    } else {
        n = (ssize_t)(l->sending->len - l->at < most ? l->sending->len - l->at : most);
        memcpy(buffer, l->sending->bytes + l->at, (size_t)n);
        l->at += (size_t)n;
        if (l->at == l->sending->len) {
            let_go(l->sending);
            l->sending = NULL;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

static void leave(void *context)
{
    listener *l = context;
    mscope_streams *s = l->all;

    (void)pthread_mutex_lock(&s->lock);
    for (int i = 0; i < MSCOPE_STREAMS_MAX; i++)
        if (s->one[i] == l)
            s->one[i] = NULL;
    let_go(l->sending);
    (void)pthread_mutex_unlock(&s->lock);
    free(l);
}

struct MHD_Response *mscope_streams_join(mscope_streams *s, struct MHD_Connection *connection)
{
    listener *l = calloc(1, sizeof *l);
    struct MHD_Response *r = NULL;
    int place = -1;

    if (l == NULL)
        return NULL;
    *l = (listener){ .all = s, .connection = connection };
    (void)pthread_mutex_lock(&s->lock);
    for (int i = 0; i < MSCOPE_STREAMS_MAX && place < 0 && !s->stop; i++)
        if (s->one[i] == NULL)
            place = i;
    if (place >= 0) {
        s->one[place] = l;
        l->seen = s->number;         /* that one may be old: the next tick renders a new one */
        s->rendered = 0;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (place >= 0)
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, next, l, leave);
    if (r == NULL)
        leave(l);
    return r;
}

/* -- for the clock ------------------------------------------------------------------------------------------ */

static frame *render(mscope_hub *h)
{
    frame *f = calloc(1, sizeof *f);
    FILE *to = f != NULL ? open_memstream(&f->bytes, &f->len) : NULL;

    if (to == NULL) {
        free(f);
        return NULL;
    }
    f->refs = 1;
    fputs("event: state\ndata: ", to);
    /* one line: records end in a line break, which would end the event */
    char *body = NULL;
    size_t len = 0;
    FILE *inner = open_memstream(&body, &len);
    if (inner != NULL) {
        mscope_answer_state(inner, h);
        (void)fclose(inner);
    }
    for (size_t i = 0; i < len; i++)
        if (body[i] != '\n')
            fputc(body[i], to);
    free(body);
    fputs("\n\n", to);
    if (fclose(to) == 0)
        return f;
    free(f->bytes);
    free(f);
    return NULL;
}

static void wake(mscope_streams *s)
{
    for (int i = 0; i < MSCOPE_STREAMS_MAX; i++)
        if (s->one[i] != NULL && s->one[i]->asleep) {
            s->one[i]->asleep = 0;
            MHD_resume_connection(s->one[i]->connection);
        }
}

int mscope_streams_count(mscope_streams *s)
{
    int n = 0;

    (void)pthread_mutex_lock(&s->lock);
    for (int i = 0; i < MSCOPE_STREAMS_MAX; i++)
        n += s->one[i] != NULL;
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

void mscope_streams_tick(mscope_streams *s)
{
    const unsigned long long version = atomic_load(&s->hub->version);
    const double now = mscope_monotonic_s();
    frame *f;

    const long long alerts = mscope_ledger_last(s->hub->ledger);

    if (mscope_streams_count(s) == 0 ||
        (alerts == s->alerts && now - s->rendered < (version == s->version ? STILL_S : LEAST_S)))
        return;
    if ((f = render(s->hub)) == NULL)
        return;
    (void)pthread_mutex_lock(&s->lock);
    let_go(s->latest);
    s->latest = f;
    s->number++;
    s->version = version;
    s->alerts = alerts;
    s->rendered = now;
    wake(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void mscope_streams_stop(mscope_streams *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stop = 1;
    wake(s);
    (void)pthread_mutex_unlock(&s->lock);
}
