/* test_options.c - host/common/options: every kind of value, repeats, arguments, environment, refusals and --help */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exit.h"
#include "common/options.h"

static struct {
    int quiet, args, seen;
    const char *out;
    mscope_texts grid;
    double share;
    uint64_t steps, room;
} o;

static char said[8192];              /* what the last call printed */

static int even(void *context, const char *value, char *why, size_t cap)
{
    ++*(int *)context;
    (void)snprintf(why, cap, "expected an even digit");
    return strlen(value) == 1 && strchr("02468", value[0]) != NULL ? 0 : -1;
}

static const mscope_option table[] = {
    { "quiet", NULL, "print only errors", .flag = &o.quiet },
    { "out", "FILE", "where to", .text = &o.out, .env = "TEST_OPTIONS_OUT" },
    { "grid", "NAME=VALUES",
      "values of a parameter; may be given for each parameter, and this text is long enough to be wrapped",
      .texts = &o.grid },
    { "share", "X", "a part", .real = &o.share, .low = 0.25, .high = 1 },
    { "steps", "N", "how many", .count = &o.steps, .low = 1, .high = 1e9, .env = "TEST_OPTIONS_STEPS" },
    { "room", "BYTES", "how much", .bytes = &o.room, .low = 1024, .high = 1e15 },
    { "even", "N", "a digit", .check = even, .context = &o.seen },
    { "size", "BYTES", NULL, .bytes = &o.room },
    { .name = NULL }
};

static const mscope_command command = { .name = "momentscope test",
                                        .usage = "WORKLOAD [OPTION...]\n--list",
                                        .about = "Test.",
                                        .option = table,
                                        .notes = "A note.",
                                        .example = "momentscope test a",
                                        .exits = "0 success\n2 wrong usage",
                                        .least = 1,
                                        .most = 2,
                                        .argument = "WORKLOAD" };

/* Words with blanks between; what is printed on either stream ends in said. */
static int run(const char *words)
{
    static char text[512], *argv[32];
    int argc = 1, code, both[2], keep[2] = { dup(1), dup(2) };

    memset(&o, 0, sizeof o);
    (void)snprintf(text, sizeof text, "%s", words);
    argv[0] = text + sizeof text - 1;
    for (char *w = strtok(text, " "); w != NULL; w = strtok(NULL, " "))
        argv[argc++] = w;
    assert_int_equal(pipe(both), 0);
    (void)fflush(stdout);
    assert_true(dup2(both[1], 1) == 1 && dup2(both[1], 2) == 2);
    code = mscope_options_read(&command, argc, argv, &o.args);
    (void)fflush(stdout);
    assert_true(dup2(keep[0], 1) == 1 && dup2(keep[1], 2) == 2);
    (void)close(both[1]);
    ssize_t n = read(both[0], said, sizeof said - 1);
    said[n > 0 ? n : 0] = '\0';
    (void)close(both[0]);
    (void)close(keep[0]);
    (void)close(keep[1]);
    if (o.args > 0)
        assert_string_not_equal(argv[1], "");
    return code;
}

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(run("a --quiet --out=x=y --share 0.25 b --steps 1e3 --room 4K --even 2 --even 4"),
                     MSCOPE_OPTIONS_GO_ON);
    assert_string_equal(said, "");
    assert_int_equal(o.args, 2);
    assert_int_equal(o.quiet, 1);
    assert_string_equal(o.out, "x=y");
    assert_true(o.share == 0.25 && o.steps == 1000 && o.room == 4096 && o.seen == 2);
    assert_int_equal(run("a --steps 7 --steps 9 --size 18446744073709551614"), MSCOPE_EXIT_USAGE);
    assert_int_equal(run("a --steps 7 --steps 9 --size 9007199254740993"), MSCOPE_OPTIONS_GO_ON);
    assert_true(o.steps == 9 && o.room == UINT64_C(9007199254740993));
    assert_int_equal(run("--grid a=1 -- --grid"), MSCOPE_OPTIONS_GO_ON);
    assert_int_equal(o.args, 1);
    assert_int_equal(run("a --grid a=1 --grid=b=2"), MSCOPE_OPTIONS_GO_ON);
    assert_int_equal(o.grid.n, 2);
    assert_string_equal(o.grid.at[1], "b=2");
}

static void test_refusals(void **state)
{
    static const struct {
        const char *words, *say;
    } row[] = {
        { "", "momentscope test: missing WORKLOAD; momentscope test --help lists the options\n" },
        { "a b c", "momentscope test: unexpected argument 'c'; momentscope test --help lists the options\n" },
        { "a --none", "momentscope test: unknown option '--none'; momentscope test --help lists the options\n" },
        { "a -q", "momentscope test: unknown option '-q'; momentscope test --help lists the options\n" },
        { "a --quiet=1",
          "momentscope test: this option takes no value: '--quiet=1'; momentscope test --help lists the options\n" },
        { "a --out",
          "momentscope test: --out has no value, expected --out FILE; momentscope test --help lists the options\n" },
        { "a --share 2", "momentscope test: --share is '2', expected a number from 0.25 to 1\n" },
        { "a --share nan", "momentscope test: --share is 'nan', expected a number from 0.25 to 1\n" },
        { "a --share .5x", "momentscope test: --share is '.5x', expected a number from 0.25 to 1\n" },
        { "a --steps 0.5", "momentscope test: --steps is '0.5', expected a whole number from 1 to 1000000000\n" },
        { "a --steps 1K", "momentscope test: --steps is '1K', expected a whole number from 1 to 1000000000\n" },
        { "a --room 1",
          "momentscope test: --room is '1', expected a whole number from 1024 to 1e+15 (K, M, G allowed)\n" },
        { "a --room 1Kb",
          "momentscope test: --room is '1Kb', expected a whole number from 1024 to 1e+15 (K, M, G allowed)\n" },
        { "a --even 3", "momentscope test: --even is '3', expected an even digit\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        assert_int_equal(run(row[i].words), MSCOPE_EXIT_USAGE);
        assert_string_equal(said, row[i].say);
    }
}

static void test_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("TEST_OPTIONS_OUT", "there", 1), 0);
    assert_int_equal(setenv("TEST_OPTIONS_STEPS", "no", 1), 0);
    assert_int_equal(run("a"), MSCOPE_EXIT_USAGE);
    assert_string_equal(said,
                        "momentscope test: TEST_OPTIONS_STEPS is 'no', expected a whole number from 1 to 1000000000\n");
    assert_int_equal(setenv("TEST_OPTIONS_STEPS", "5", 1), 0);
    assert_int_equal(run("a --steps 6"), MSCOPE_OPTIONS_GO_ON);
    assert_string_equal(o.out, "there");
    assert_int_equal(o.steps, 6);
    assert_int_equal(unsetenv("TEST_OPTIONS_OUT") | unsetenv("TEST_OPTIONS_STEPS"), 0);
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(run("--help --none"), MSCOPE_EXIT_OK);
    assert_non_null(strstr(said, "usage: momentscope test WORKLOAD [OPTION...]\n       momentscope test --list\n"));
    assert_non_null(strstr(said, "  --out FILE          where to\n"));
    assert_non_null(strstr(said, "example: momentscope test a\n"));
    assert_non_null(strstr(said, "exit codes:\n  0 success\n  2 wrong usage\n"));
    assert_null(strstr(said, "--size"));
    for (const char *line = said; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 0, 80);
}

static void test_data(void **state)
{
    (void)state;
    assert_int_equal(run("--help=data"), MSCOPE_EXIT_OK);
    assert_int_equal(strncmp(said, "name\tmomentscope test\nusage\tWORKLOAD [OPTION...]\\n--list\n", 57), 0);
    assert_non_null(strstr(said, "\noption\tquiet\t\tprint only errors\t\n"));
    assert_non_null(strstr(said, "\noption\tout\tFILE\twhere to\tTEST_OPTIONS_OUT\n"));
    assert_non_null(strstr(said, "\nexits\t0 success\\n2 wrong usage\n"));
    assert_null(strstr(said, "\tsize\t"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
