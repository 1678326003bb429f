/* cmocka.h - the part of cmocka's interface our tests use, for processors whose Debian library is not at hand
 *
 * Found instead of the library's header by builds for another processor (make check-arch), so that the very tests of
 * tests/ run there unchanged. Speaks TAP. One thread: a failed assertion must be on the thread that runs the test.
 * MOMENTSCOPE_SKIP lists names of tests to leave out, apart by spaces.                                         */
#ifndef TESTS_ARCH_CMOCKA_H
#define TESTS_ARCH_CMOCKA_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
    int (*set_up)(void **state), (*tear_down)(void **state);
};

enum { CMOCKA_FAILED = 1, CMOCKA_SKIPPED = 2 };
static jmp_buf cmocka_out;

static inline void cmocka_leave(int how, const char *file, int line, const char *what)
{
    if (how == CMOCKA_FAILED)
        printf("# %s:%d: %s\n", file, line, what);
    longjmp(cmocka_out, how);
}

#define cmocka_unit_test(f) { #f, f, NULL, NULL }
#define cmocka_unit_test_setup_teardown(f, a, b) { #f, f, a, b }
#define cmocka_unit_test_setup(f, a) { #f, f, a, NULL }
#define cmocka_run_group_tests(tests, a, b) cmocka_run(#tests, tests, sizeof(tests) / sizeof *(tests), a, b)
#define cmocka_run_group_tests_name(name, tests, a, b) cmocka_run(name, tests, sizeof(tests) / sizeof *(tests), a, b)

#define print_error(...) ((void)printf("# "), (void)printf(__VA_ARGS__))
#define print_message(...) ((void)printf("# "), (void)printf(__VA_ARGS__))
#define fail() cmocka_leave(CMOCKA_FAILED, __FILE__, __LINE__, "fail()")
#define fail_msg(...) (print_error(__VA_ARGS__), (void)printf("\n"), fail())
#define skip() cmocka_leave(CMOCKA_SKIPPED, __FILE__, __LINE__, "skip()")
#define cmocka_check(x, what) ((x) ? (void)0 : cmocka_leave(CMOCKA_FAILED, __FILE__, __LINE__, what))
#define assert_true(x) cmocka_check((x), #x)
#define assert_false(x) cmocka_check(!(x), "not " #x)
#define assert_null(x) cmocka_check((x) == NULL, #x " == NULL")
#define assert_non_null(x) cmocka_check((x) != NULL, #x " != NULL")
#define assert_ptr_equal(a, b) cmocka_check((const void *)(a) == (const void *)(b), #a " == " #b)
#define assert_int_equal(a, b) cmocka_check((uintmax_t)(a) == (uintmax_t)(b), #a " == " #b)
#define assert_int_not_equal(a, b) cmocka_check((uintmax_t)(a) != (uintmax_t)(b), #a " != " #b)
#define assert_in_range(x, a, b) \
    cmocka_check((uintmax_t)(x) >= (uintmax_t)(a) && (uintmax_t)(x) <= (uintmax_t)(b), #x " in " #a ".." #b)
#define assert_string_equal(a, b) cmocka_check(strcmp((a), (b)) == 0, #a " is the string " #b)
#define assert_memory_equal(a, b, n) cmocka_check(memcmp((a), (b), (n)) == 0, #a " has the bytes of " #b)
#define assert_memory_not_equal(a, b, n) cmocka_check(memcmp((a), (b), (n)) != 0, #a " has not the bytes of " #b)

static inline int cmocka_unwanted(const char *name)
{
    const char *list = getenv("MOMENTSCOPE_SKIP"), *at = list ? strstr(list, name) : NULL;
    size_t n = strlen(name);

    return at && (at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0');
}

static inline int cmocka_run(const char *group, const struct CMUnitTest *t, size_t n, int (*set_up)(void **),
                             int (*tear_down)(void **))
{
    static void *state;                  /* static: kept over longjmp */
    static int failed;

    (void)group;
    printf("1..%zu\n", n);
    if (set_up && set_up(&state) != 0)
        return 1;
    for (size_t i = 0; i < n; i++) {
        void *volatile shared = state;
        int how;

        if (cmocka_unwanted(t[i].name)) {
            printf("ok %zu - %s # SKIP\n", i + 1, t[i].name);
            continue;
        }
        if (t[i].set_up && t[i].set_up(&state) != 0)
            return 1;
        how = setjmp(cmocka_out);
        if (how == 0)
            t[i].test(&state);
        if (t[i].tear_down && t[i].tear_down(&state) != 0)
            how = CMOCKA_FAILED;
        state = shared;
        failed += how == CMOCKA_FAILED;
        printf("%sok %zu - %s%s\n", how == CMOCKA_FAILED ? "not " : "", i + 1, t[i].name,
               how == CMOCKA_SKIPPED ? " # SKIP" : "");
        (void)fflush(stdout);
    }
    if (tear_down && tear_down(&state) != 0)
        return 1;
    return failed != 0;
}

#endif
