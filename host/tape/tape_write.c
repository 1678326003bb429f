/* tape_write.c - a queue of messages and the thread that puts them on disk
 *
 * The lock is held for a few instructions, never during a write. Messages are shared with the socket by reference
 * count, so appending copies nothing but the smallest. One writev an entry: a killed recorder leaves whole entries and
 * at most one cut.
 *
 * Where the disk fails, the file keeps its whole entries, and everything after them is noted by session and number, so
 * that the file itself can say at its end what is not in it. That ending needs room too: where there is none, it is
 * written over the last entries, whose blocks the file already has. */
#include "tape.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "protocol/bytes.h"
#include "protocol/refusal.h"

typedef struct item {
    struct item *next;
    uint64_t time_ns, size;                 /* bytes in the file                                   */
    uint8_t kind, parts, body_len, body[32]; /* body: of LOST and END                              */
    zmq_msg_t part[MSCOPE_TAPE_PARTS];
} item;

typedef struct gap {
    uint64_t session, first, last;          /* sequence numbers that are not in the file           */
} gap;

typedef struct mark {                       /* an entry of the file, should it have to make room   */
    uint64_t at;
    uint8_t kind, numbered;                 /* numbered: first, last of session are sequence numbers */
    gap holds;
} mark;

enum { MARKS = 16, LOST_SIZE = MSCOPE_TAPE_ENTRY + 24, END_SIZE = MSCOPE_TAPE_ENTRY + 16 };

struct mscope_tape_writer {
    int fd;
    char path[512];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint64_t buffer_bytes, started;         /* monotonic ns                                        */
    /* under the lock */
    item *head, **tail;
    uint64_t held;
    int stop, failed;                       /* failed: an errno                                    */
    gap *gap;                               /* of what was taken and could not be written          */
    size_t gaps;
    uint64_t dropped;                       /* messages of it                                      */
    /* the appender's */
    uint64_t bytes;
    /* the thread's */
    uint64_t number, whole;                 /* entries written, and where the last one ends         */
    uint64_t messages;                      /* of the entries                                      */
    mark mark[MARKS];                       /* entry n at n % MARKS                                */
};

static uint64_t wall_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* -- what is not in the file ------------------------------------------------------------------------------- */

static mark mark_of(const mscope_tape_writer *w, const item *it)
{
    mark k = { .at = w->whole, .kind = it->kind };
    mscope_refusal why;
    mscope_header h;

    if (it->kind == MSCOPE_ENTRY_LOST) {
        k.holds = (gap){ mscope_get_le(it->body, 8), mscope_get_le(it->body + 8, 8), mscope_get_le(it->body + 16, 8) };
        k.numbered = 1;
    } else if (it->kind == MSCOPE_ENTRY_MESSAGE &&
               mscope_header_decode(zmq_msg_data((zmq_msg_t *)(uintptr_t)&it->part[0]), zmq_msg_size(&it->part[0]), &h,
                                    &why) == 0) {
        k.holds = (gap){ h.session, h.seq, h.seq };
        k.numbered = h.kind != MSCOPE_HELLO;         /* whose number is that of the message after it */
    }
    return k;
}

/* Without memory for a gap only the count tells of it. */
static void miss(mscope_tape_writer *w, const mark *k)
{
    const gap *x = &k->holds;

    w->dropped += k->kind == MSCOPE_ENTRY_MESSAGE;
    if (!k->numbered)
        return;
    for (size_t i = 0; i < w->gaps; i++) {
        gap *g = &w->gap[i];
        if (g->session != x->session || x->first > g->last + 1 || x->last + 1 < g->first)
            continue;
        g->first = x->first < g->first ? x->first : g->first;
        g->last = x->last > g->last ? x->last : g->last;
        return;
    }
    gap *more = realloc(w->gap, (w->gaps + 1) * sizeof *more);
    if (more == NULL)
        return;
    w->gap = more;
    w->gap[w->gaps++] = *x;
}

/* -- the thread ------------------------------------------------------------------------------------------ */

static int write_all(int fd, struct iovec *v, int n)
{
    while (n > 0) {
        ssize_t got = writev(fd, v, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        while (n > 0 && (size_t)got >= v->iov_len) {
            got -= (ssize_t)v->iov_len;
            v++;
            n--;
        }
        if (n > 0) {
            v->iov_base = (char *)v->iov_base + got;
            v->iov_len -= (size_t)got;
        }
    }
    return 0;
}

static int write_item(mscope_tape_writer *w, item *it)
{
    struct iovec v[2 + MSCOPE_TAPE_PARTS];
    uint8_t head[MSCOPE_TAPE_ENTRY] = { 0 }, lengths[4 * MSCOPE_TAPE_PARTS];
    int n = 2;

    v[1] = (struct iovec){ it->body, it->body_len };
    if (it->kind == MSCOPE_ENTRY_MESSAGE)
        v[1] = (struct iovec){ lengths, 4 * (size_t)it->parts };
    for (unsigned i = 0; i < it->parts; i++) {
        v[n++] = (struct iovec){ zmq_msg_data(&it->part[i]), zmq_msg_size(&it->part[i]) };
        mscope_put_le(lengths + 4 * (size_t)i, zmq_msg_size(&it->part[i]), 4);
    }
    uint32_t crc = 0;
    for (int i = 1; i < n; i++)
        crc = mscope_crc32(crc, v[i].iov_base, v[i].iov_len);
    mscope_put_le(head, it->size - MSCOPE_TAPE_ENTRY, 4);
    head[4] = it->kind;
    head[5] = it->parts;
    mscope_put_le(head + 8, w->number + 1, 8);
    mscope_put_le(head + 16, it->time_ns, 8);
    mscope_put_le(head + 24, crc, 4);
    mscope_put_le(head + 28, mscope_crc32(0, head, 28), 4);
    v[0] = (struct iovec){ head, sizeof head };
    const int err = write_all(w->fd, v, n);
    if (err != 0)
        return err;
    w->number++;
    w->messages += it->kind == MSCOPE_ENTRY_MESSAGE;
    w->whole += it->size;
    return 0;
}

static void free_item(item *it)
{
    for (unsigned i = 0; i < it->parts; i++)
        (void)zmq_msg_close(&it->part[i]);
    free(it);
}

static void *run(void *arg)
{
    mscope_tape_writer *w = arg;

    (void)pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->head == NULL && !w->stop)
            (void)pthread_cond_wait(&w->wake, &w->lock);
        item *it = w->head;
        if (it == NULL)
            break;
        w->head = it->next;
        if (w->head == NULL)
            w->tail = &w->head;
        int err = w->failed;
        (void)pthread_mutex_unlock(&w->lock);
        const uint64_t size = it->size;
        const mark k = mark_of(w, it);
        if (err == 0 && (err = write_item(w, it)) == 0)
            w->mark[(w->number - 1) % MARKS] = k;
        free_item(it);
        (void)pthread_mutex_lock(&w->lock);
        if (err != 0)
            miss(w, &k);
        w->failed = err;
        w->held -= size;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* -- the appender ------------------------------------------------------------------------------------------ */

static int failure(mscope_refusal *why, int code, const char *range, int err, const char *path)
{
    return mscope_refusal_set(why, code, "file", range, strerror(err), "%s", path);
}

static int write_header(mscope_tape_writer *w)
{
    uint8_t h[MSCOPE_TAPE_HEADER] = { 0 };
    uint64_t id = 0;
    struct iovec v = { h, sizeof h };

    if (getrandom(&id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id)
        id = mscope_monotonic_ns() * 0x9E3779B97F4A7C15ull;
    memcpy(h, MSCOPE_TAPE_MAGIC, 8);         // NOLINT(bugprone-not-null-terminated-result): a file has no 0 there
    mscope_put_le(h + 8, MSCOPE_TAPE_VERSION, 2);
    mscope_put_le(h + 10, MSCOPE_WIRE_VERSION, 2);
    mscope_put_le(h + 16, id, 8);
    mscope_put_le(h + 24, wall_ns(), 8);
    mscope_put_le(h + 60, mscope_crc32(0, h, 60), 4);
    w->bytes = w->whole = sizeof h;
    return write_all(w->fd, &v, 1);
}

int mscope_tape_create(mscope_tape_writer **out, const char *path, uint64_t buffer_bytes, mscope_refusal *why)
{
    mscope_tape_writer *w = calloc(1, sizeof *w);
    int err;

    if (w == NULL)
        return failure(why, MSCOPE_ENOMEM, "memory", ENOMEM, path);
    (void)snprintf(w->path, sizeof w->path, "%s", path);
    w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        err = errno;
        free(w);
        return err == EEXIST
                   ? failure(why, MSCOPE_EBUSY, "a name that is not taken: recordings are never overwritten", err, path)
                   : failure(why, MSCOPE_EIO, "a file that can be created", err, path);
    }
    w->tail = &w->head;
    w->buffer_bytes = buffer_bytes;
    w->started = mscope_monotonic_ns();
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->wake, NULL);
    if ((err = write_header(w)) != 0 || (err = pthread_create(&w->thread, NULL, run, w)) != 0) {
        (void)close(w->fd);
        (void)unlink(path);
        free(w);
        return failure(why, MSCOPE_EIO, "a file that can be written", err, path);
    }
    *out = w;
    return 0;
}

/* Takes the item over. It is as late as the clock says, so entries rise in time. What comes when writing has failed is
 * refused, and noted as missing like all that waited. */
static int queue(mscope_tape_writer *w, item *it, int always)
{
    const uint64_t size = it->size;          /* the thread may have freed the item by the time it is counted */

    it->time_ns = mscope_monotonic_ns() - w->started;
    (void)pthread_mutex_lock(&w->lock);
    int rc = w->failed ? MSCOPE_EIO
                       : !always && w->held > 0 && w->held + size > w->buffer_bytes ? MSCOPE_EAGAIN : 0;
    if (rc == MSCOPE_EIO) {
        const mark k = mark_of(w, it);
        miss(w, &k);
    } else if (rc == 0) {
        w->held += size;
        *w->tail = it;
        w->tail = &it->next;
        (void)pthread_cond_signal(&w->wake);
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (rc == 0)
        w->bytes += size;
    else
        free_item(it);
    return rc;
}

int mscope_tape_append(mscope_tape_writer *w, zmq_msg_t *part, unsigned n)
{
    item *it = calloc(1, sizeof *it);

    if (it == NULL)
        return MSCOPE_ENOMEM;
    it->kind = MSCOPE_ENTRY_MESSAGE;
    it->size = MSCOPE_TAPE_ENTRY + 4 * (uint64_t)n;
    for (; it->parts < n; it->parts++) {
        (void)zmq_msg_init(&it->part[it->parts]);
        if (zmq_msg_copy(&it->part[it->parts], &part[it->parts]) != 0) {
            it->parts++;
            free_item(it);
            return MSCOPE_ENOMEM;
        }
        it->size += zmq_msg_size(&part[it->parts]);
    }
    if (it->size - MSCOPE_TAPE_ENTRY > UINT32_MAX) {
        free_item(it);
        return MSCOPE_EAGAIN;
    }
    return queue(w, it, 0);
}

static void fill_numbers(item *it, enum mscope_entry_kind kind, const uint64_t *v, int n)
{
    it->kind = (uint8_t)kind;
    it->body_len = (uint8_t)(8 * n);
    it->size = MSCOPE_TAPE_ENTRY + it->body_len;
    for (int i = 0; i < n; i++)
        mscope_put_le(it->body + 8 * i, v[i], 8);
}

int mscope_tape_lost(mscope_tape_writer *w, uint64_t session, uint64_t first, uint64_t last)
{
    const uint64_t v[3] = { session, first, last };
    item *it = calloc(1, sizeof *it);

    if (it == NULL)
        return MSCOPE_ENOMEM;
    fill_numbers(it, MSCOPE_ENTRY_LOST, v, 3);
    return queue(w, it, 1);
}

int mscope_tape_room(mscope_tape_writer *w)
{
    (void)pthread_mutex_lock(&w->lock);
    const int room = w->failed || w->held <= w->buffer_bytes / 2;
    (void)pthread_mutex_unlock(&w->lock);
    return room;
}

uint64_t mscope_tape_bytes(const mscope_tape_writer *w)
{
    return w->bytes;
}

/* -- the end ----------------------------------------------------------------------------------------------- */

/* LOST entries and END, from where the last whole entry ends. The rest of a failed attempt is cut off. */
static int write_ending(mscope_tape_writer *w, uint64_t lost)
{
    const uint64_t number = w->number, whole = w->whole, end[2] = { w->messages, lost + w->dropped };
    item it = { .time_ns = mscope_monotonic_ns() - w->started };
    int err = lseek(w->fd, (off_t)w->whole, SEEK_SET) < 0 ? errno : 0;

    for (size_t i = 0; err == 0 && i < w->gaps; i++) {
        const uint64_t v[3] = { w->gap[i].session, w->gap[i].first, w->gap[i].last };
        fill_numbers(&it, MSCOPE_ENTRY_LOST, v, 3);
        err = write_item(w, &it);
    }
    fill_numbers(&it, MSCOPE_ENTRY_END, end, 2);
    if (err == 0)
        err = write_item(w, &it);
    if (err != 0) {
        w->number = number;
        w->whole = whole;
    }
    if (ftruncate(w->fd, (off_t)w->whole) != 0 && err == 0)
        err = errno;
    return err;
}

/* Gives up the last entries, as many as the ending needs room. Returns 0 where they are not enough. */
static int make_room(mscope_tape_writer *w)
{
    uint64_t n = 0, room = 0, need = END_SIZE + LOST_SIZE * (uint64_t)w->gaps;

    while (room < need) {
        if (n == w->number || n == MARKS)
            return 0;
        const mark *k = &w->mark[(w->number - ++n) % MARKS];
        room = w->whole - k->at;
        need += k->numbered ? LOST_SIZE : 0;         /* at most: it may join another gap */
    }
    for (; n > 0; n--) {
        const mark *k = &w->mark[--w->number % MARKS];
        w->messages -= k->kind == MSCOPE_ENTRY_MESSAGE;
        w->whole = k->at;
        miss(w, k);
    }
    return 1;
}

int mscope_tape_finish(mscope_tape_writer *w, uint64_t lost, mscope_tape_sum *sum, mscope_refusal *why)
{
    int err, rc = 0;

    (void)pthread_mutex_lock(&w->lock);
    w->stop = 1;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    err = w->failed;
    const int unended = write_ending(w, lost);
    if (unended != 0 && make_room(w))
        (void)write_ending(w, lost);
    err = err != 0 ? err : unended;
    if (fdatasync(w->fd) != 0 && errno != EINVAL &&
        err == 0) /* a network file system may report only now that it is full */
        err = errno;
    if (close(w->fd) != 0 && err == 0)
        err = errno;
    *sum = (mscope_tape_sum){ w->messages, lost + w->dropped, w->whole };
    if (err != 0)
        rc = failure(why, MSCOPE_EIO, "a disk with room", err, w->path);
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->wake);
    free(w->gap);
    free(w);
    return rc;
}
