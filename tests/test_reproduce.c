/* test_reproduce.c - bench reproduce on a table of its own: what it prints and how it exits, with and without --strict
 */
#include "harness.h"

#include <unistd.h>

#include "cli/bench.h"
#include "bench/claims/claim.h"

static int answer(const mscope_claim *c, uint64_t seed, mscope_claim_result *out)
{
    (void)seed;
    out->ours = c->argument;
    out->corrected = out->low = out->high = NAN;
    out->verdict = (enum mscope_claim_verdict)(int)c->argument;
    snprintf(out->note, sizeof out->note, "as told");
    return c->tolerance < 0 ? -1 : 0;
}

static const mscope_claim table[] = {
    { "a", "good", "passes", 0, 0, MSCOPE_CLAIM_PASS, 0, answer },
    { "a", "good", "is corrected", 0, 0, MSCOPE_CLAIM_CORRECTED, 0, answer },
    { "a", "bad", "fails", 0, 0, MSCOPE_CLAIM_FAIL, 0, answer },
    { "a", "none", "cannot be computed", 0, -1, MSCOPE_CLAIM_PASS, 0, answer },
    { NULL, NULL, NULL, 0, 0, 0, 0, NULL },
};

const mscope_claim *const mscope_claim_tables[] = { table, NULL };

/* Exit code; what went to standard output into text. */
static int reproduce(const char *figure, int strict, char *text, size_t len)
{
    char *argv[] = { "reproduce", "--figure", (char *)figure, "--strict", NULL };
    FILE *f = tmpfile();
    const int old = dup(1);

    assert_true(f != NULL && old >= 0);
    fflush(stdout);
    assert_true(dup2(fileno(f), 1) == 1);
    const int code = mscope_cmd_bench_reproduce(strict ? 4 : 3, argv);
    fflush(stdout);
    assert_true(dup2(old, 1) == 1);
    close(old);
    rewind(f);
    text[fread(text, 1, len - 1, f)] = '\0';
    fclose(f);
    return code;
}

static void test_reproduce_exits_by_what_it_found(void **state)
{
    static const struct {
        const char *figure, *last;
        int told, strict;
    } cases[] = {
        { "good", "1 pass, 0 fail, 1 corrected, of 2\n", 0, 0 },
        { "bad", "0 pass, 1 fail, 0 corrected, of 1\n", 0, 1 },
        { "none", "0 pass, 1 fail, 0 corrected, of 1; 1 could not be computed\n", 1, 1 },
    };
    char text[4096];

    (void)state;
    for (size_t i = 0; i < LEN(cases); i++)
        for (int strict = 0; strict < 2; strict++) {
            const int code = reproduce(cases[i].figure, strict, text, sizeof text),
                      wanted = strict ? cases[i].strict : cases[i].told;
            CHECK(code == wanted, "%s, strict %d: exit %d, not %d: %s", cases[i].figure, strict, code, wanted, text);
            CHECK(strstr(text, cases[i].last) != NULL, "%s: last line not '%s': %s", cases[i].figure, cases[i].last,
                  text);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reproduce_exits_by_what_it_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
