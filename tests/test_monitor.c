/* test_monitor.c - host/monitor by itself: a consumer of its own on a running daemon, and what a set remembers */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "monitor/monitor.h"

/* -- the consumer: everything that a new command needs ------------------------------------------------- */

/* One complete set of the daemon's tables as JSON lines; 0, or a negative code after the reason. */
static int print_set(const char *telemetry, const char *replay, double wait_s, FILE *to)
{
    const mscope_feed_options where = { .telemetry = telemetry, .replay = replay };
    mscope_judged set = { .rooms = 0 };
    mscope_listen listen = { .table = NULL };
    char why[MSCOPE_WHY_MAX];
    int rc = mscope_feed_open(&listen.feed, &where, why, sizeof why);

    if (rc == 0)
        rc = mscope_listen_full(&listen, wait_s, &set, why, sizeof why);
    if (rc == 0)
        mscope_json_set(to, &set, NULL);
    else
        fprintf(to, "%s\n", why);
    mscope_judged_fini(&set);
    mscope_feed_close(listen.feed);
    return rc;
}

/* -- a daemon with one table ---------------------------------------------------------------------------- */

static char dir[] = "/tmp/mscope-monitor-XXXXXX", ingest[96], telemetry[96], replay[96];
static pid_t daemon_pid;
static mscope_client *client;

static int start(void **state)
{
    const char *build = getenv("BUILD");
    char program[512];

    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(program, sizeof program, "%s/momentscoped", build != NULL ? build : "build");
    snprintf(ingest, sizeof ingest, "ipc://%s/ingest", dir);
    snprintf(telemetry, sizeof telemetry, "ipc://%s/telemetry", dir);
    snprintf(replay, sizeof replay, "ipc://%s/replay", dir);
    daemon_pid = fork();
    if (daemon_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execl(program, program, "--ingest", ingest, "--telemetry", telemetry, "--replay", replay, "--log-level",
              "error", (char *)NULL);
        _exit(127);
    }
    return mscope_client_open(&client,
                              &(mscope_client_options){ .endpoint = ingest, .name = "test", .block_ms = 5000 });
}

static int end(void **state)
{
    (void)state;
    mscope_client_close(client, 1000);
    kill(daemon_pid, SIGTERM);
    waitpid(daemon_pid, NULL, 0);
    return rmdir(dir);
}

static void train(int steps)
{
    const int handle = mscope_client_attach(client, &(mscope_attach_info){ .table = "words",
                                                                           .rows = 8,
                                                                           .dim = 2,
                                                                           .capacity = 8,
                                                                           .state = MSCOPE_STATE_F64,
                                                                           .form = MSCOPE_FORM_EMA,
                                                                           .fresh = 1 });
    const mscope_step step = { .eta = 0.1, .eps = 0.1, .batch = 4 };
    const double g[2] = { 1, -1 };

    assert_true(handle >= 0);
    for (int i = 0; i < steps; i++) {
        const int64_t row = i % 8;
        assert_int_equal(mscope_client_push64(client, handle, &step, &row, g, MSCOPE_F64, NULL, 1), 0);
    }
    assert_int_equal(mscope_client_flush(client, 10000), 0);
}

static void test_a_consumer_prints_a_set(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    (void)state;
    train(64);
    const int rc = print_set(telemetry, replay, 10, to);
    assert_int_equal(fclose(to), 0);
    CHECK(rc == 0, "%s", text);
    assert_int_equal(strncmp(text, "{\"topic\":\"daemon\"", 17), 0);
    assert_non_null(strstr(text, "\n{\"topic\":\"table/words\""));
    assert_non_null(strstr(text, "\n{\"topic\":\"band/words/"));
    assert_non_null(strstr(text, "\"regime\":\"unknown\",\"why\":\"stability unknown: "));
    free(text);
}

static void test_silence_and_bad_addresses_are_told(void **state)
{
    char text[512] = "";
    FILE *to = fmemopen(text, sizeof text, "w");

    (void)state;
    assert_int_equal(print_set("ipc:///tmp/mscope-monitor-nobody", "", 0.2, to), MSCOPE_EAGAIN);
    assert_int_equal(print_set("bogus", "", 0.2, to), MSCOPE_EINVAL);
    assert_int_equal(fclose(to), 0);
    assert_non_null(
        strstr(text, "nothing came from ipc:///tmp/mscope-monitor-nobody within 0.2 s: is momentscoped running?\n"));
    assert_non_null(strstr(text, "--telemetry is 'bogus', expected ipc:///PATH"));
}

/* -- what a set remembers -------------------------------------------------------------------------------- */

static mscope_telemetry band(const char *table, uint64_t epoch, uint64_t at, double eta)
{
    mscope_telemetry m = { .record = { .kind = MSCOPE_REC_BAND } };
    mscope_rec_band *b = &m.record.u.band;

    snprintf(b->table, sizeof b->table, "%s", table);
    b->epoch = epoch;
    b->band = at;
    b->step = 1;
    b->P = 1, b->eps = 0.1, b->H1 = b->H2 = 1, b->eta = eta;
    b->H1_se = b->H2_se = b->batch = b->p = NAN;
    b->h_samples = 64;
    return m;
}

static mscope_telemetry table(const char *name, uint64_t epoch, uint64_t step, double only_band)
{
    mscope_telemetry m = { .record = { .kind = MSCOPE_REC_TABLE } };
    mscope_rec_table *t = &m.record.u.table;

    snprintf(t->table, sizeof t->table, "%s", name);
    t->epoch = epoch;
    t->step = step;
    t->bands.n = 1;
    t->bands.at[0] = only_band;
    return m;
}

static void take(mscope_judged *j, mscope_telemetry m, mscope_news *news, enum mscope_regime *before)
{
    assert_int_equal(mscope_judged_take(j, &m, news, before), 0);
}

static void test_a_set_is_complete_when_its_tables_are(void **state)
{
    mscope_judged j = { .rooms = 0 };
    mscope_news news;
    enum mscope_regime before = MSCOPE_REGIME_SGD;

    (void)state;
    assert_false(mscope_latest_complete(&j.latest));
    take(&j, band("a", 1, 3, 1), &news, &before);
    assert_true(news.band == 3 && news.table == 0 && news.first && before == MSCOPE_REGIME_UNKNOWN);
    assert_int_equal(j.verdict[0][3].regime, MSCOPE_REGIME_HEAVY_BALL);
    assert_false(mscope_latest_complete(&j.latest));         /* its table has not spoken */
    take(&j, table("a", 1, 1, 3), &news, &before);
    assert_int_equal(news.band, -1);
    assert_true(mscope_latest_complete(&j.latest));
    take(&j, table("b", 1, 1, 0), NULL, NULL);
    assert_false(mscope_latest_complete(&j.latest));         /* b names a band that is not there */
    take(&j, band("b", 1, 0, 1), &news, &before);
    assert_true(mscope_latest_complete(&j.latest) && news.table == 1);
    take(&j, band("a", 1, 3, 39), &news, &before);
    assert_true(!news.first && before == MSCOPE_REGIME_HEAVY_BALL);
    assert_int_equal(j.verdict[0][3].regime, MSCOPE_REGIME_UNSTABLE);
    assert_null(mscope_latest_find(&j.latest, "c"));
    assert_ptr_equal(mscope_latest_find(&j.latest, "b"), &j.latest.table[1]);
    mscope_judged_fini(&j);
}

static void test_bands_leave_and_daemons_begin_anew(void **state)
{
    mscope_judged j = { .rooms = 0 };
    mscope_news news;
    enum mscope_regime before;

    (void)state;
    take(&j, band("a", 1, 3, 1), NULL, NULL);
    take(&j, table("a", 1, 5, 4), NULL, NULL);               /* at step 5 no row is in band 3 any more */
    assert_false(j.latest.table[0].have[3]);
    take(&j, band("a", 1, 3, 1), &news, &before);            /* its last record again, for a late joiner */
    assert_true(news.band == -1 && !j.latest.table[0].have[3]);
    take(&j, band("a", 1, 4, 1), NULL, NULL);
    take(&j, band("a", 2, 4, 39), &news, &before);
    assert_true(news.first && before == MSCOPE_REGIME_UNKNOWN && j.latest.tables == 1 && !j.latest.table[0].have_table);
    take(&j, band("a", 2, MSCOPE_BANDS, 1), &news, &before);
    assert_int_equal(news.band, -1);
    mscope_judged_fini(&j);
}

static mscope_telemetry at_step(mscope_telemetry m, uint64_t step, uint64_t rows)
{
    m.record.u.band.step = step;
    m.record.u.band.rows = rows;
    return m;
}

/* A second run under one name, in the same daemon: its records have fewer steps. */
static void test_a_second_run_takes_nothing_over(void **state)
{
    mscope_telemetry stability = { .record = { .kind = MSCOPE_REC_STABILITY } },
                     acf = { .record = { .kind = MSCOPE_REC_ACF } },
                     alert = { .record = { .kind = MSCOPE_REC_ALERT } };
    char words[MSCOPE_ALERT_TEXT];
    mscope_judged j = { .rooms = 0 };
    const mscope_latest_table *t;
    (void)state;

    strcpy(stability.record.u.stability.table, "a");
    strcpy(acf.record.u.acf.table, "a");
    stability.record.u.stability.epoch = acf.record.u.acf.epoch = 1;
    stability.record.u.stability.step = acf.record.u.acf.step = 500;
    acf.record.u.acf.band = 5;
    take(&j, at_step(band("a", 1, 3, 1), 490, 7), NULL, NULL);
    take(&j, at_step(band("a", 1, 5, 1), 500, 7), NULL, NULL);
    take(&j, acf, NULL, NULL);
    take(&j, table("a", 1, 500, 5), NULL, NULL);
    take(&j, stability, NULL, NULL);
    t = &j.latest.table[0];
    assert_true(!t->have[3] && t->have[5] && t->have_acf[5] && t->have_stability);
    take(&j, at_step(band("a", 1, 7, 1), 501, 7), NULL, NULL);            /* the last of the run before */
    take(&j, at_step(band("a", 1, 5, 2), 10, 7), NULL, NULL);
    take(&j, table("a", 1, 10, 5), NULL, NULL);
    assert_false(t->have[7] || t->have_acf[5] || t->have_stability);
    assert_true(t->have[5] && mscope_latest_complete(&j.latest));         /* it came ahead of its table's record */
    mscope_latest_alert(&j.latest, words);
    assert_string_equal(words, "");
    strcpy(alert.record.u.alert.table, "a");
    strcpy(alert.record.u.alert.text, "came");
    take(&j, alert, NULL, NULL);
    mscope_latest_alert(&j.latest, words);
    assert_string_equal(words, "latest, 10 steps ago: came");
    alert.record.u.alert.step = 500;                                     /* of the run before */
    take(&j, alert, NULL, NULL);
    mscope_latest_alert(&j.latest, words);
    assert_string_equal(words, "latest: came");
    take(&j, at_step(band("a", 1, 6, 1), 600, 0), NULL, NULL);           /* it emptied; a late joiner is given it */
    assert_false(t->have[6]);
    mscope_judged_fini(&j);
}

/* Stability covers two tables; its record, those of the tables and of bands come in any order. */
static void test_bands_know_their_limit_in_any_order(void **state)
{
    static const int orders[][5] = { { 0, 1, 2, 3, 4 }, { 4, 3, 2, 1, 0 }, { 2, 4, 0, 3, 1 }, { 1, 0, 4, 2, 3 } };
    (void)state;

    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
        mscope_telemetry m[5] = { table("a", 1, 1, 3), table("b", 1, 1, 3), band("a", 1, 3, 39), band("b", 1, 3, 39),
                                  { .record = { .kind = MSCOPE_REC_STABILITY } } };
        mscope_rec_stability *r = &m[4].record.u.stability;
        mscope_judged j = { .rooms = 0 };

        strcpy(m[0].record.u.table.stability, "a");
        strcpy(m[1].record.u.table.stability, "a");
        strcpy(r->table, "a");
        r->epoch = 1;
        r->H = 0.3, r->H_se = 0.01, r->noise_part = 0.1, r->eta = 39;
        for (int i = 0; i < 5; i++)
            take(&j, m[orders[o][i]], NULL, NULL);
        for (size_t i = 0; i < 2; i++) {     /* alone both are unstable: their limit by themselves is 38 */
            assert_true(j.verdict[i][3].H == 0.3);
            assert_int_equal(j.verdict[i][3].regime, MSCOPE_REGIME_HEAVY_BALL);
        }
        mscope_judged_fini(&j);
    }
}

/* -- is anything wrong? ------------------------------------------------------------------------------------ */

static void says(const mscope_judged *j, const char *first)
{
    char words[MSCOPE_WORST_TEXT];
    mscope_worst w;

    mscope_worst_of(j, NULL, &w);
    mscope_worst_say(j, &w, words);
    CHECK(strncmp(words, first, strlen(first)) == 0, "%s", words);
}

static void test_what_is_not_known_is_not_called_fine(void **state)
{
    mscope_telemetry unknown = band("a", 1, 3, 1), calm = band("a", 1, 4, 1), sgd = band("a", 1, 5, 1),
                     stability = { .record = { .kind = MSCOPE_REC_STABILITY } };
    mscope_judged j = { .rooms = 0 };
    mscope_worst w;
    (void)state;

    unknown.record.u.band.H1 = NAN;
    strcpy(unknown.record.u.band.h_source, "none: nobody measured");
    sgd.record.u.band.H1 = NAN;
    sgd.record.u.band.eps = 1;
    says(&j, "nothing is known yet: no record of a band has come");
    take(&j, unknown, NULL, NULL);
    says(&j, "nothing is known yet of 1 band: stability unknown: nobody measured");
    mscope_worst_of_table(&j, 0, &w);
    assert_true(w.found && w.regime == MSCOPE_REGIME_UNKNOWN);           /* no update yet is not few updates */
    take(&j, sgd, NULL, NULL);
    says(&j, "no band is known to be near instability; sgd-like in 1 band, unknown in 1 band. Unknown: stability");
    sgd.record.u.band.updates = 1000;
    unknown.record.u.band.updates = 10;
    take(&j, unknown, NULL, NULL);
    take(&j, sgd, NULL, NULL);
    mscope_worst_of_table(&j, 0, &w);
    assert_true(w.regime == MSCOPE_REGIME_SGD && w.passed_over == 1 && w.bands == 2);
    says(&j, "how near instability is, is not known yet, for no curvature was measured; sgd-like in 1 band");
    take(&j, calm, NULL, NULL);
    says(&j, "no band is near instability: heavy-ball in 1 band, sgd-like in 1 band, unknown in 1 band");
    strcpy(stability.record.u.stability.table, "a");
    strcpy(stability.record.u.stability.h_source, "none: not measured yet");
    stability.record.u.stability.epoch = 1;
    stability.record.u.stability.H = NAN;
    take(&j, stability, NULL, NULL);
    says(&j, "no band is near instability by itself: heavy-ball in 1 band, sgd-like in 1 band, unknown in 1 band. All "
             "that moves together: stability unknown: not measured yet");
    take(&j, band("a", 1, 4, 39), NULL, NULL);
    says(&j, "unstable: band 4 of table a: ");
    mscope_judged_fini(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_consumer_prints_a_set, start, end),
        cmocka_unit_test(test_silence_and_bad_addresses_are_told),
        cmocka_unit_test(test_a_set_is_complete_when_its_tables_are),
        cmocka_unit_test(test_bands_leave_and_daemons_begin_anew),
        cmocka_unit_test(test_a_second_run_takes_nothing_over),
        cmocka_unit_test(test_what_is_not_known_is_not_called_fine),
        cmocka_unit_test(test_bands_know_their_limit_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
