/* tape_write.c - a queue of messages and the thread that puts them on disk
 *
 * The lock is held for a few instructions, never during a write. Messages are shared with the socket by reference count, so
 * appending copies nothing but the smallest. One writev an entry: a killed recorder leaves whole entries and at most one cut. */
#include "record/tape.h"

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

#include "fields.h"
#include "record/bytes.h"

typedef struct item {
    struct item *next;
    uint64_t time_ns, size;                 /* bytes in the file                                   */
    uint8_t kind, parts, body_len, body[32]; /* body: of LOST and END                              */
    zmq_msg_t part[MSCOPE_TAPE_FRAMES];
} item;

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
    /* the appender's */
    uint64_t bytes;
    /* the thread's */
    uint64_t number, whole;                 /* entries written, and where the last one ends         */
};

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;

    (void)clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
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
    struct iovec v[2 + MSCOPE_TAPE_FRAMES];
    uint8_t head[MSCOPE_TAPE_ENTRY] = { 0 }, lengths[4 * MSCOPE_TAPE_FRAMES];
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
        if (err == 0 && (err = write_item(w, it)) != 0 && ftruncate(w->fd, (off_t)w->whole) != 0) {
            /* the reader passes over an entry that is not whole */
        }
        free_item(it);
        (void)pthread_mutex_lock(&w->lock);
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
        id = clock_ns(CLOCK_MONOTONIC) * 0x9E3779B97F4A7C15ull;
    memcpy(h, mscope_tape_magic, sizeof mscope_tape_magic);
    mscope_put_le(h + 8, MSCOPE_TAPE_VERSION, 2);
    mscope_put_le(h + 10, MSCOPE_WIRE_VERSION, 2);
    mscope_put_le(h + 16, id, 8);
    mscope_put_le(h + 24, clock_ns(CLOCK_REALTIME), 8);
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
    w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        err = errno;
        free(w);
        return err == EEXIST ? failure(why, MSCOPE_EBUSY, "a name that is not taken: recordings are never overwritten", err, path)
                             : failure(why, MSCOPE_EIO, "a file that can be made", err, path);
    }
    w->tail = &w->head;
    w->buffer_bytes = buffer_bytes;
    w->started = clock_ns(CLOCK_MONOTONIC);
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

/* Takes the item over. It is as late as the clock says, so entries rise in time. */
static int queue(mscope_tape_writer *w, item *it, int always)
{
    const uint64_t size = it->size;          /* the thread may have freed the item by the time it is counted */

    it->time_ns = clock_ns(CLOCK_MONOTONIC) - w->started;
    (void)pthread_mutex_lock(&w->lock);
    int rc = w->failed ? MSCOPE_EIO
                       : !always && w->held > 0 && w->held + size > w->buffer_bytes ? MSCOPE_EAGAIN : 0;
    if (rc == 0) {
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

static int numbers(mscope_tape_writer *w, enum mscope_entry_kind kind, const uint64_t *v, int n)
{
    item *it = calloc(1, sizeof *it);

    if (it == NULL)
        return MSCOPE_ENOMEM;
    it->kind = (uint8_t)kind;
    it->body_len = (uint8_t)(8 * n);
    it->size = MSCOPE_TAPE_ENTRY + it->body_len;
    for (int i = 0; i < n; i++)
        mscope_put_le(it->body + 8 * i, v[i], 8);
    return queue(w, it, 1);
}

int mscope_tape_lost(mscope_tape_writer *w, uint64_t session, uint64_t first, uint64_t last)
{
    const uint64_t v[3] = { session, first, last };

    return numbers(w, MSCOPE_ENTRY_LOST, v, 3);
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

int mscope_tape_finish(mscope_tape_writer *w, uint64_t messages, uint64_t lost, mscope_refusal *why)
{
    const uint64_t v[2] = { messages, lost };
    int rc = numbers(w, MSCOPE_ENTRY_END, v, 2), err;

    (void)pthread_mutex_lock(&w->lock);
    w->stop = 1;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    err = w->failed;
    if (close(w->fd) != 0 && err == 0)
        err = errno;
    if (err != 0)
        rc = failure(why, MSCOPE_EIO, "a disk with room", err, w->path);
    else if (rc != 0)
        rc = mscope_refusal_set(why, rc, "memory", "enough", "the end could not be noted", "%s", w->path);
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->wake);
    free(w);
    return rc;
}
