/* listener.c - a subscriber that counts, for soak.py and crowd.py
 *
 *     listener TELEMETRY REPLAY [KEY=NUMBER]... [prefix=TEXT]
 *
 * every (10): seconds between two lines. life (0): seconds after which it leaves and joins again. Prints a JSON object
 * a line: records received, lost and, by the sequence numbers of each topic, published; the longest time without a
 * record of the daemon and without one of a table's; how late daemon records came. Their `uptime` is the time of
 * publication on a clock with another zero, so the latency is counted from the fastest record so far. Ends when its
 * input does.                                                                                                  */
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/sequence.h"
#include "common/clock.h"
#include "mscope/client.h"
#include "times.h"

enum { TOPICS = 1 << 18 };

typedef struct topic {
    char name[MSCOPE_TOPIC_MAX];
    uint64_t epoch, first, last;
    double at;                       /* when its last record came */
    uint64_t step;                   /* of a table's, and what its last record says */
    double V;
    int exact, table;
} topic;

static struct {
    double every, life;
    const char *telemetry, *replay, *prefix;
} opt = { .every = 10, .prefix = "" };

static topic *topics;
static size_t held;
static mscope_subscriber_stats gone; /* of the lives before */
static uint64_t published_before, lives;
static faults_times late;
static double fastest = INFINITY, gap_daemon, gap_table;
static mscope_rec_daemon daemon_now;

static topic *find(const char *name, uint64_t epoch)
{
    uint64_t h = 0xcbf29ce484222325u ^ epoch;

    for (const char *c = name; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 0x100000001b3u;
    for (size_t i = (size_t)(h ^ h >> 29) % TOPICS;; i = (i + 1) % TOPICS) {
        if (topics[i].name[0] == '\0') {
            if (++held > TOPICS / 2)
                abort();
            (void)snprintf(topics[i].name, sizeof topics[i].name, "%s", name);
            topics[i].epoch = epoch;
            topics[i].first = UINT64_MAX;
        }
        if (topics[i].epoch == epoch && strcmp(topics[i].name, name) == 0)
            return &topics[i];
    }
}

static void take(const mscope_telemetry *t)
{
    const double now = mscope_monotonic_s();
    topic *const p = find(t->topic, mscope_record_epoch(&t->record));
    const double since = p->at > 0 ? now - p->at : 0;

    p->first = t->seq < p->first ? t->seq : p->first;
    p->last = t->seq > p->last ? t->seq : p->last;
    p->at = now;
    if (t->record.kind == MSCOPE_REC_TABLE) {
        const mscope_rec_table *const r = &t->record.u.table;
        gap_table = r->attached && r->step > p->step ? fmax(gap_table, since) : gap_table;
        p->table = 1;
        p->step = r->step;
        p->V = r->V;
        p->exact = r->exact;
    }
    if (t->record.kind != MSCOPE_REC_DAEMON)
        return;
    daemon_now = t->record.u.daemon;
    gap_daemon = fmax(gap_daemon, since);
    fastest = fmin(fastest, now - daemon_now.uptime);
    faults_times_note(&late, (faults_moment){ .wall = fastest },
                      (faults_moment){ .wall = now - daemon_now.uptime });
}

static uint64_t published(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < TOPICS; i++)
        if (topics[i].name[0] != '\0')
            sum += topics[i].last - topics[i].first + 1;
    return sum;
}

static void leave(mscope_subscriber *s)
{
    mscope_subscriber_stats now;

    mscope_subscriber_stats_get(s, &now);
    gone.received += now.received;
    gone.lost += now.lost;
    gone.replayed += now.replayed;
    gone.malformed += now.malformed;
    gone.repeats += now.repeats;
    published_before += published();
    memset(topics, 0, TOPICS * sizeof *topics);
    held = 0;
    lives++;
    mscope_subscriber_close(s);
}

static void print(const mscope_subscriber *s)
{
    const mscope_rec_daemon *const d = &daemon_now;
    mscope_subscriber_stats now;
    const char *sep = "";

    mscope_subscriber_stats_get(s, &now);
    printf("{\"received\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"published\":%" PRIu64 ",\"replayed\":%" PRIu64
           ",\"malformed\":%" PRIu64 ",\"repeats\":%" PRIu64 ",\"lives\":%" PRIu64 ",\"topics\":%zu",
           gone.received + now.received, gone.lost + now.lost, published_before + published(),
           gone.replayed + now.replayed, gone.malformed + now.malformed, gone.repeats + now.repeats, lives, held);
    printf(",\"gap_daemon\":%.3g,\"gap_table\":%.3g,", gap_daemon, gap_table);
    faults_times_print(&late, "late");
    printf(",\"daemon\":{\"tables\":%" PRIu64 ",\"sessions\":%" PRIu64 ",\"connections\":%" PRIu64
           ",\"turned_away\":%" PRIu64 ",\"records_out\":%" PRIu64 ",\"records_dropped\":%" PRIu64, d->tables,
           d->sessions, d->connections, d->turned_away, d->records_out, d->records_dropped);
    printf(",\"steps_applied\":%" PRIu64 ",\"lost_steps\":%" PRIu64 ",\"refused_messages\":%" PRIu64
           ",\"state_saves\":%" PRIu64 ",\"late_max\":%.3g,\"pause_max\":%.3g},\"tables\":{", d->steps_applied,
           d->lost_steps, d->refused_messages, d->state_saves, d->late_max, d->pause_max);
    for (size_t i = 0; i < TOPICS; i++)
        if (topics[i].table)
            printf("%s\"%s\":[%" PRIu64 ",%.17g,%d]", sep, topics[i].name + strlen("table/"), topics[i].step,
                   topics[i].V, topics[i].exact), sep = ",";
    printf("}}\n");
    (void)fflush(stdout);
    late = (faults_times){ 0 };
    gap_daemon = gap_table = 0;
}

static int read_options(int argc, char **argv)
{
    if (argc < 3)
        return -1;
    opt.telemetry = argv[1];
    opt.replay = argv[2];
    for (int i = 3; i < argc; i++)
        if (strncmp(argv[i], "prefix=", 7) == 0)
            opt.prefix = argv[i] + 7;
        else if (strncmp(argv[i], "every=", 6) == 0)
            opt.every = strtod(argv[i] + 6, NULL);
        else if (strncmp(argv[i], "life=", 5) == 0)
            opt.life = strtod(argv[i] + 5, NULL);
        else
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    mscope_subscriber *s = NULL;
    mscope_telemetry t;

    if (read_options(argc, argv) != 0 || (topics = calloc(TOPICS, sizeof *topics)) == NULL) {
        fprintf(stderr, "usage: listener TELEMETRY REPLAY [every=S] [life=S] [prefix=TEXT]\n");
        return 2;
    }
    double line = mscope_monotonic_s() + opt.every, until = INFINITY, looked = 0;
    for (int open = 1; open;) {
        if (s == NULL) {
            if (mscope_subscribe(&s, opt.telemetry, opt.replay, opt.prefix) != 0)
                return 1;
            until = opt.life > 0 ? mscope_monotonic_s() + opt.life : INFINITY;
        }
        if (mscope_subscriber_next(s, &t, 50) == 0)
            take(&t);
        const double now = mscope_monotonic_s();
        if (now >= line) {
            print(s);
            line = fmax(line + opt.every, now);
        }
        if (now >= until) {
            leave(s);
            s = NULL;
        }
        if (now > looked + 0.1) {
            struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
            open = poll(&in, 1, 0) == 0;
            looked = now;
        }
    }
    if (s != NULL)
        print(s);
    mscope_subscriber_close(s);
    return 0;
}
