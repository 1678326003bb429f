/* publish.c - see publish.h; the wire is protocol/README.md section 2 */
#include "publish.h"

#include <string.h>

#include <unistd.h>

#include <zmq.h>

#include "log.h"

static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u;

    while (*s != '\0')
        h = (h ^ (unsigned char)*s++) * 16777619u;
    return h;
}

/* -- topics ----------------------------------------------------------------------------------- */

static void let_go(mscope_publisher *p, mscope_topic *t)
{
    if (t->next > p->floor)
        p->floor = t->next;
    mscope_replay_forget(&p->replay, (uint32_t)(t - p->topics));
    memset(t, 0, sizeof *t);
    p->topic_count--;
}

/* The topics of the tables dropped longest ago, the older half of them: seldom, so that a pass over all slots is no matter.
 * Topics keep their slots, which the replay block names; so a search is led past the slots that became free on its way. */
static void make_room(mscope_publisher *p)
{
    const size_t mask = p->topic_slots - 1;
    uint64_t oldest = p->tables_gone;

    for (size_t i = 0; i <= mask; i++) {
        p->topics[i].left = 0;
        if (p->topics[i].gone != 0 && p->topics[i].gone < oldest)
            oldest = p->topics[i].gone;
    }
    for (size_t i = 0; i <= mask; i++)
        if (p->topics[i].gone != 0 && p->topics[i].gone <= oldest + (p->tables_gone - oldest) / 2)
            let_go(p, &p->topics[i]);
    for (size_t i = 0; i <= mask; i++)
        for (size_t k = hash(p->topics[i].name) & mask; p->topics[i].name[0] != '\0' && k != i; k = (k + 1) & mask)
            p->topics[k].left = p->topics[k].name[0] == '\0';
}

/* Whoever heard a name before it was let go finds its new numbers above the old ones. */
static mscope_topic *take(mscope_publisher *p, mscope_topic *t, const char *name)
{
    p->topic_count++;
    memset(t, 0, sizeof *t);
    memcpy(t->name, name, strlen(name) + 1);
    t->first = t->next = p->floor;
    return t;
}

mscope_topic *mscope_topic_find(mscope_publisher *p, const char *name, int make)
{
    const size_t mask = p->topic_slots - 1, most = mask * 3 / 4;
    mscope_topic *spare = NULL;
    size_t i = hash(name) & mask;

    for (size_t n = 0; n <= mask; n++, i = (i + 1) & mask) {
        mscope_topic *t = &p->topics[i];
        if (name[0] != '\0' && strcmp(t->name, name) == 0)
            return t;
        if (t->name[0] != '\0')
            continue;
        if (spare == NULL)
            spare = t;
        if (!t->left)
            break;
    }
    if (!make)
        return NULL;
    if (p->topic_count > most) {
        make_room(p);                        /* which may have moved the end of the search */
        return p->topic_count > most ? NULL : mscope_topic_find(p, name, 1);
    }
    return spare != NULL ? take(p, spare, name) : NULL;
}

static void mark(mscope_publisher *p, const mscope_record *r)
{
    char name[MSCOPE_TOPIC_MAX];
    mscope_topic *t;

    (void)mscope_record_topic(r, name);
    if ((t = mscope_topic_find(p, name, 0)) != NULL)
        t->gone = p->tables_gone;
}

/* A table was dropped for another one: its topics may be let go when room is needed. */
static void mark_gone(mscope_publisher *p, const char table[MSCOPE_NAME_MAX + 1])
{
    mscope_record all = { .kind = MSCOPE_REC_TABLE }, band = { .kind = MSCOPE_REC_BAND }, acf = { .kind = MSCOPE_REC_ACF };

    p->tables_gone++;
    memcpy(all.u.table.table, table, sizeof all.u.table.table);
    memcpy(band.u.band.table, table, sizeof band.u.band.table);
    memcpy(acf.u.acf.table, table, sizeof acf.u.acf.table);
    mark(p, &all);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        band.u.band.band = acf.u.acf.band = b;
        mark(p, &band);
        mark(p, &acf);
    }
}

/* -- records ---------------------------------------------------------------------------------- */

static int send_record(void *xpub, const char *topic, uint64_t seq, const uint8_t *body, size_t len)
{
    uint8_t be[8];

    for (int i = 0; i < 8; i++)
        be[i] = (uint8_t)(seq >> (56 - 8 * i));
    return zmq_send(xpub, topic, strlen(topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
           zmq_send(xpub, be, sizeof be, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 || zmq_send(xpub, body, len, ZMQ_DONTWAIT) < 0;
}

static void count_unsent(mscope_publisher *p)
{
    atomic_fetch_add_explicit(&p->outside->unsent, 1, memory_order_relaxed);
}

static void publish(mscope_publisher *p, const mscope_record *r)
{
    char name[MSCOPE_TOPIC_MAX];
    uint8_t body[MSCOPE_RECORD_MAX];
    int len = mscope_record_encode(r, body, sizeof body);
    mscope_topic *t;

    (void)mscope_record_topic(r, name);
    t = len > 0 ? mscope_topic_find(p, name, 1) : NULL;
    if (t == NULL) {
        count_unsent(p);
        return;
    }
    t->gone = 0;
    memcpy(t->latest, body, (size_t)len);
    t->len = (uint16_t)len;
    mscope_replay_store(&p->replay, (uint32_t)(t - p->topics), t->next, body, (size_t)len);
    if (send_record(p->xpub, name, t->next, body, (size_t)len))
        count_unsent(p);
    t->next++;
    atomic_fetch_add_explicit(&p->outside->records_out, 1, memory_order_relaxed);
}

static void drain_ring(mscope_publisher *p)
{
    const mscope_record *r;

    while ((r = mscope_ring_peek(p->ring)) != NULL) {
        publish(p, r);
        if (r->kind == MSCOPE_REC_ALERT && strcmp(r->u.alert.code, "dropped") == 0 && r->u.alert.table[0] != '\0')
            mark_gone(p, r->u.alert.table);
        mscope_ring_release(p->ring);
    }
}

/* A subscription (byte 1, prefix) is answered with the latest record of every topic under the prefix. */
static void on_subscription(mscope_publisher *p, const uint8_t *msg, size_t len)
{
    if (len == 0 || msg[0] != 1)
        return;
    mscope_log(MSCOPE_LOG_DEBUG, "publish", "a subscriber wants topics that begin with '%.*s'",
               (int)(len - 1 < 80 ? len - 1 : 80), (const char *)msg + 1);
    for (size_t i = 0; i < p->topic_slots; i++) {
        const mscope_topic *t = &p->topics[i];
        if (t->len == 0 || strlen(t->name) < len - 1 || memcmp(t->name, msg + 1, len - 1) != 0)
            continue;
        if (send_record(p->xpub, t->name, t->next - 1, t->latest, t->len))
            count_unsent(p);
    }
}

static void drain_subscriptions(mscope_publisher *p)
{
    uint8_t msg[256];
    int len;

    while ((len = zmq_recv(p->xpub, msg, sizeof msg, ZMQ_DONTWAIT)) >= 0)
        if ((size_t)len <= sizeof msg)           /* a longer prefix matches no topic */
            on_subscription(p, msg, (size_t)len);
}

void *mscope_publisher_run(void *publisher)
{
    mscope_publisher *p = publisher;
    zmq_pollitem_t items[3] = { { .socket = p->xpub, .events = ZMQ_POLLIN },
                                { .socket = p->replay.socket, .events = ZMQ_POLLIN },
                                { .fd = p->wake_fd, .events = ZMQ_POLLIN } };
    int stop = 0;

    while (!stop) {
        uint64_t woken;
        (void)zmq_poll(items, 3, mscope_replay_busy(&p->replay) ? 2 : 1000);
        if (read(p->wake_fd, &woken, sizeof woken) < 0) {
            /* nothing new: the poll ended for another reason */
        }
        stop = atomic_load_explicit(&p->stop, memory_order_acquire);     /* behind the read, as in the saver */
        drain_subscriptions(p);
        drain_ring(p);
        mscope_replay_serve(&p->replay, p);
    }
    return NULL;
}
