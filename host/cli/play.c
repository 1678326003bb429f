/* play.c - momentscope play FILE: a recorded run is played into a daemon, through the ordinary client
 *
 * One client for each recorded session, attached with the recorded HELLO; other messages are forwarded unchanged, but
 * for the handles within DIRECTION. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "common/clock.h"
#include "common/options.h"
#include "keys_option.h"
#include "mscope/client.h"
#include "protocol/bytes.h"
#include "tape/contents.h"

#define COMMAND "momentscope play"

enum { BLOCK_MS = 200, PATIENCE_S = 10, SESSIONS = 256, TABLES = 64 };

typedef struct player {
    mscope_tape tape;
    mscope_contents contents;
    const char *endpoint;
    double speed;
    int quiet;
    struct role {                      /* one recorded session                                     */
        uint64_t session;
        mscope_client *client;         /* NULL: the session has ended                              */
        uint32_t handle[TABLES];       /* recorded handle of our table i                           */
        char name[TABLES][MSCOPE_NAME_MAX + 1];
        int tables;
    } role[SESSIONS];
    int roles;
    uint64_t steps, refused;
} player;

static int complain(const mscope_refusal *why, const char *file)
{
    fprintf(stderr, COMMAND ": %s: %s is '%s', expected %s: %s\n", file, why->field, why->value, why->range,
            why->text);
    return MSCOPE_EXIT_FAILED;
}

/* -- the daemon's side ------------------------------------------------------------------------------------- */

static uint64_t unacked(const player *p, int tables_too)
{
    uint64_t n = 0;

    for (int i = 0; i < p->roles; i++)
        if (p->role[i].client != NULL) {
            mscope_client_stats s;
            mscope_client_stats_get(p->role[i].client, &s);
            n += s.messages_unacked + (tables_too && !s.connected);
        }
    return n;
}

static int not_taken(const player *p)
{
    mscope_client_stats s = { 0 };

    for (int i = 0; i < p->roles && s.last_error.code == 0; i++)
        if (p->role[i].client != NULL)
            mscope_client_stats_get(p->role[i].client, &s);
    if (s.last_error.code != 0)
        fprintf(stderr, COMMAND ": the daemon at %s has taken nothing for %d s: %s = %s (%s): %s\n", p->endpoint,
                PATIENCE_S, s.last_error.field, s.last_error.value, s.last_error.range, s.last_error.text);
    else if (s.epoch == 0)
        fprintf(stderr, COMMAND ": no daemon has answered at %s for %d s: start momentscoped there, or name another "
                "address with --ingest\n", p->endpoint, PATIENCE_S);
    else
        fprintf(stderr, COMMAND ": the daemon at %s has taken nothing for %d s: it was stopped, or is stuck; look "
                "into its log\n", p->endpoint, PATIENCE_S);
    return MSCOPE_EXIT_FAILED;
}

static void poll_all(player *p, int wait_ms)
{
    for (int i = 0; i < p->roles; i++)
        if (p->role[i].client != NULL) {
            (void)mscope_client_poll(p->role[i].client, wait_ms);
            wait_ms = 0;
        }
}

/* Waits until every message is acknowledged and every table has its WELCOME. */
static int drain(player *p)
{
    uint64_t left = unacked(p, 1);
    double since = mscope_monotonic_s();

    while (left > 0) {
        poll_all(p, 5);
        const uint64_t now = unacked(p, 1);
        if (now != left)
            since = mscope_monotonic_s();
        left = now;
        if (mscope_monotonic_s() - since > PATIENCE_S)
            return not_taken(p);
    }
    return MSCOPE_EXIT_OK;
}

static int leave(player *p, struct role *r)
{
    mscope_client_stats s;
    const int rc = drain(p);

    mscope_client_stats_get(r->client, &s);
    if (p->refused == 0 && s.errors > 0 && s.last_error.code != 0)
        fprintf(stderr, COMMAND ": the daemon refused %llu messages; the last: %s = %s (%s): %s\n",
                (unsigned long long)s.errors, s.last_error.field, s.last_error.value, s.last_error.range,
                s.last_error.text);
    p->refused += s.errors;
    mscope_client_close(r->client, rc == MSCOPE_EXIT_OK ? 1000 * PATIENCE_S : 0);
    r->client = NULL;
    return rc;
}

/* -- messages ------------------------------------------------------------------------------------------------- */

static struct role *role_of(player *p, uint64_t session)
{
    for (int i = 0; i < p->roles; i++)
        if (p->role[i].session == session)
            return &p->role[i];
    return NULL;
}

/* A recorded trainer that vanished without BYE still holds the table: close it, as the daemon does after the takeover
 * time. */
static int make_room(player *p, const struct role *own, const char *table)
{
    for (int i = 0; i < p->roles; i++)
        for (int k = 0; p->role[i].client != NULL && &p->role[i] != own && k < p->role[i].tables; k++)
            if (strcmp(p->role[i].name[k], table) == 0)
                return leave(p, &p->role[i]);
    return MSCOPE_EXIT_OK;
}

static int enter(player *p, uint64_t session, struct role **out)
{
    char name[MSCOPE_TEXT_MAX + 1] = COMMAND;
    const mscope_client_options opt = { .endpoint = p->endpoint, .name = name, .block_ms = BLOCK_MS,
                                        .buffer_bytes = 256ull << 20, .quiet = 1 };
    mscope_refusal why;

    if (p->roles == SESSIONS) {
        fprintf(stderr, COMMAND ": the recording has more than %d sessions\n", SESSIONS);
        return MSCOPE_EXIT_FAILED;
    }
    struct role *r = &p->role[p->roles];
    if (mscope_client_open(&r->client, &opt) != 0) {
        mscope_client_fault(&why);
        return complain(&why, p->endpoint);
    }
    r->session = session;
    p->roles++;
    *out = r;
    return MSCOPE_EXIT_OK;
}

static int attach(player *p, const mscope_header *h)
{
    const mscope_recorded_table *t = mscope_contents_find(&p->contents, h->session, h->table);
    struct role *r = role_of(p, h->session);
    int rc = MSCOPE_EXIT_OK;

    if (t == NULL || (r == NULL && (rc = enter(p, h->session, &r)) != MSCOPE_EXIT_OK))
        return rc;
    if (r->client == NULL || r->tables == TABLES)
        return MSCOPE_EXIT_OK;
    const mscope_hello *in = &t->hello;
    if ((rc = make_room(p, r, in->table)) != MSCOPE_EXIT_OK)
        return rc;
    const mscope_attach_info info = { .table = in->table,
                                      .rows = in->rows,
                                      .dim = in->dim,
                                      .capacity = in->capacity,
                                      .state = (enum mscope_state)in->state,
                                      .form = (enum mscope_form)in->form,
                                      .nesterov = in->nesterov,
                                      .nll = in->nll,
                                      .acf_rows = in->acf_rows,
                                      .step = in->step,
                                      .reference = in->reference,
                                      .fresh = in->fresh,
                                      .narrow = in->narrow,
                                      .optimizer = in->optimizer,
                                      .width = in->width };
    if (mscope_client_attach(r->client, &info) != r->tables) {
        mscope_refusal why;
        mscope_client_fault(&why);
        return complain(&why, in->table);
    }
    r->handle[r->tables] = h->table;
    memcpy(r->name[r->tables++], in->table, sizeof in->table);
    return MSCOPE_EXIT_OK;
}

static int is_forwarded(unsigned kind)
{
    return (kind >= MSCOPE_STEP && kind <= MSCOPE_SYNC) || (kind >= MSCOPE_DIRECTION && kind <= MSCOPE_LABELS);
}

/* The handle that a recorded table has here, or -1. */
static int handle_of(const struct role *r, uint32_t recorded)
{
    for (int i = 0; i < r->tables; i++)
        if (r->handle[i] == recorded)
            return i;
    return -1;
}

/* Handles within DIRECTION are this client's from now on. Rows of tables that were not recorded go outside. */
static int forward_direction(const struct role *r, int table, const mscope_entry *e)
{
    const size_t n = e->header.count;
    mscope_direction_row *row;
    mscope_direction d;
    size_t kept = 0;
    int rc;

    if (e->parts < 2 || mscope_direction_decode(e->part[1], e->len[1], &d, NULL) != 0 ||
        (n > 0 && (e->parts != 5 || e->len[2] != 4 * n || e->len[3] != 4 * n || e->len[4] != 8 * n)))
        return 0;                                    /* the daemon refused it */
    if ((row = calloc(n + 1, sizeof *row)) == NULL)
        return MSCOPE_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const int to = handle_of(r, (uint32_t)mscope_get32(e->part[2] + 4 * i));
        float x[2];
        mscope_values_decode(e->part[4] + 8 * i, MSCOPE_F32, 2, x, 0);
        if (to >= 0) {
            row[kept++] = (mscope_direction_row){ .table = (uint32_t)to,
                                                  .row = (uint32_t)mscope_get32(e->part[3] + 4 * i),
                                                  .curvature = x[0], .noise = x[1] };
        } else {
            d.outside_curvature += (double)x[0];
            d.outside_noise += (double)x[1];
        }
    }
    const int top = handle_of(r, d.top_table);
    d.top_share = top >= 0 ? d.top_share : 0;
    d.top_table = top >= 0 ? (uint32_t)top : 0;
    rc = mscope_client_direction(r->client, table, &d, row, kept);
    free(row);
    return rc;
}

static int forward_one(const struct role *r, int table, const mscope_entry *e)
{
    return e->header.kind == MSCOPE_DIRECTION
               ? forward_direction(r, table, e)
               : mscope_client_forward(r->client, table, &e->header, e->part + 1, e->len + 1, e->parts - 1);
}

static int forward(player *p, const mscope_entry *e)
{
    struct role *r = role_of(p, e->header.session);
    double since = mscope_monotonic_s();
    int table, rc;

    if (r == NULL || r->client == NULL)
        return MSCOPE_EXIT_OK;
    if (e->header.kind == MSCOPE_BYE)
        return leave(p, r);
    if ((table = handle_of(r, e->header.table)) < 0 || !is_forwarded(e->header.kind))
        return MSCOPE_EXIT_OK;
    uint64_t left = unacked(p, 0);
    while ((rc = forward_one(r, table, e)) == 1) {
        if (unacked(p, 0) != left)
            since = mscope_monotonic_s();
        left = unacked(p, 0);
        if (mscope_monotonic_s() - since > PATIENCE_S)
            return not_taken(p);
    }
    if (rc < 0) {
        mscope_refusal why;
        mscope_client_fault(&why);
        return complain(&why, "message");
    }
    p->steps += e->header.kind == MSCOPE_STEP;
    return MSCOPE_EXIT_OK;
}

static void keep_pace(player *p, double started, uint64_t time_ns)
{
    double left;

    while (p->speed > 0 && (left = (double)time_ns * 1e-9 / p->speed - (mscope_monotonic_s() - started)) > 0) {
        const struct timespec nap = { 0, (long)(1e9 * fmin(left, 0.02)) };
        poll_all(p, 0);
        (void)nanosleep(&nap, NULL);
    }
}

static int play(player *p, const char *file)
{
    const double started = mscope_monotonic_s();
    mscope_refusal why;
    mscope_entry e;
    int got, rc = MSCOPE_EXIT_OK;

    while (rc == MSCOPE_EXIT_OK && (got = mscope_tape_next(&p->tape, &e, &why)) != 0) {
        if (got < 0)
            return complain(&why, file);
        keep_pace(p, started, e.time_ns);
        if (e.kind == MSCOPE_ENTRY_MESSAGE)
            rc = e.header.kind == MSCOPE_HELLO ? attach(p, &e.header) : forward(p, &e);
    }
    if (rc == MSCOPE_EXIT_OK)
        rc = drain(p);
    for (int i = 0; i < p->roles; i++)
        if (p->role[i].client != NULL && rc == MSCOPE_EXIT_OK)
            rc = leave(p, &p->role[i]);
        else if (p->role[i].client != NULL)
            mscope_client_close(p->role[i].client, 0);
    if (rc == MSCOPE_EXIT_OK && !p->quiet)
        printf("%llu steps played into %s in %.3g s; %llu messages refused\n", (unsigned long long)p->steps,
               p->endpoint, mscope_monotonic_s() - started, (unsigned long long)p->refused);
    return rc;
}

/* -- the command ------------------------------------------------------------------------------------------------ */

static void list(const player *p, const char *file)
{
    const mscope_contents *c = &p->contents;
    char when[64] = "";
    const time_t t = (time_t)(p->tape.started_ns / 1000000000u);
    struct tm tm;

    if (localtime_r(&t, &tm) != NULL)
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    printf("%s: recording %016llx of %s, %.4g s, %zu bytes, %llu messages, %llu lost; %s\n", file,
           (unsigned long long)p->tape.id, when, c->seconds, p->tape.size, (unsigned long long)c->messages,
           (unsigned long long)c->lost,
           mscope_contents_whole(c) ? c->cut ? "whole up to where it is cut off" : "whole"
                                    : c->cut ? "INCOMPLETE, and cut off" : "INCOMPLETE");
    if (c->tables == 0)
        printf("  no table is in it\n");
    mscope_contents_print(c, stdout);
}

static int run(player *p, const char *file, int only_list)
{
    mscope_refusal why;
    int rc = mscope_tape_open(&p->tape, file, &why);

    if (rc == 0)
        rc = mscope_contents_read(&p->contents, &p->tape, &why);
    if (rc != 0)
        rc = complain(&why, file);
    else if (only_list || !p->quiet)
        list(p, file);
    if (rc == 0 && !only_list && p->contents.tables == 0) {
        fprintf(stderr, COMMAND ": %s: no table is in this recording: it ended, or was cut off, before the first one\n",
                file);
        rc = MSCOPE_EXIT_FAILED;
    } else if (rc == 0 && !only_list) {
        rc = play(p, file);
    }
    mscope_contents_free(&p->contents);
    mscope_tape_close(&p->tape);
    return rc;
}

int mscope_cmd_play(int argc, char **argv)
{
    static player p;
    static char endpoint[256];
    int code, only_list = 0;
    const mscope_option table[] = {
        { "list", NULL, "print what is in FILE and whether anything is missing; send nothing", .flag = &only_list },
        { "ingest", "ENDPOINT",
          "where the daemon listens for trainers (default: $MOMENTSCOPE_INGEST, else its usual place)",
          .text = &p.endpoint, .env = "MOMENTSCOPE_INGEST" },
        { "speed", "F",
          "times the speed of the recording: 1 as it was, 10 ten times as fast; 0, the default: as fast as the daemon"
          " takes it",
          .real = &p.speed, .low = 0, .high = 1e6 },
        MSCOPE_KEYS_OPTION,
        { "quiet", NULL, "print only errors", .flag = &p.quiet },
        { .name = NULL }
    };
    const mscope_command play_command = {
        .name = COMMAND,
        .usage = "FILE [OPTION...]",
        .about = "Send what momentscope record wrote to FILE to a daemon, as its trainers did, so that watch, check "
                 "and advise can look at the run again. The daemon must be running, and no other trainer may hold a "
                 "table of the same name.",
        .option = table,
        .notes = "A daemon publishes by the clock, so a fast run gives few records; momentscoped --interval 0 "
                 "--interval-steps N publishes every N steps of a table, the same at every speed.",
        .example = "momentscoped & " COMMAND " run.tape --speed 10 & momentscope watch",
        .exits = "0 FILE was sent, and the daemon took or refused every message (the last line counts them), or FILE "
                 "was listed\n"
                 "1 FILE cannot be read, has no table in it, or the daemon took nothing for 10 s\n"
                 "2 wrong usage",
        .least = 1,
        .most = 1,
        .argument = "FILE",
    };

    code = mscope_options_read(&play_command, argc, argv, NULL);
    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    if (p.endpoint == NULL && mscope_default_endpoint("ingest", endpoint, sizeof endpoint) == 0)
        p.endpoint = endpoint;
    return run(&p, argv[1], only_list);
}
