/* main.c - the cases of cases.h on a Cortex-M7, in static memory, and what that takes */
#include "m7.h"

#include "../cases.h"

static _Alignas(64) unsigned char mem[ARCH_MEM];
static unsigned char bytes[ARCH_TAPE];

static void say(const char *text)
{
    (void)m7_call(4, text);
}

static void say_number(uint64_t x, unsigned base, unsigned least)
{
    char text[24];
    unsigned at = sizeof text - 1;

    text[at] = '\0';
    for (unsigned n = 0; at > 0 && (x != 0 || n < least); n++, x /= base)
        text[--at] = "0123456789abcdef"[x % base];
    say(&text[at]);
}

static void say_digest(const char *what, uint64_t hash, size_t cases, size_t steps)
{
    say(what);
    say(" ref ");
    say_number(hash, 16, 16);
    say(" ");
    say_number(cases, 10, 1);
    say(" cases ");
    say_number(steps, 10, 1);
    say(" steps\n");
}

static void say_size(const char *what, size_t n)
{
    say(what);
    say_number(n, 10, 1);
    say(" bytes\n");
}

int m7_main(void)
{
    const mscope_table_config small = { .rows = 256, .dim = 16, .capacity = 16, .history = 64 };
    arch_tape tape = { bytes, 0, 0, sizeof bytes };
    uint64_t all = ARCH_HASH, f32 = ARCH_HASH;
    size_t steps = 0, cases32 = 0, steps32 = 0;

    for (size_t i = 0; i < arch_cases(); i++) {
        arch_run r;

        if (arch_whole(&r, i, "ref", mem, &tape)) {
            say(r.failed);
            say(" refused\n");
            return 1;
        }
        all = arch_fold(all, r.hash);
        steps += arch_case_steps(i);
        if (arch_case_state(i) != MSCOPE_STATE_F32 || i % 2)
            continue;
        f32 = arch_fold(f32, r.hash);
        cases32++;
        steps32 += arch_case_steps(i);
    }
    say_digest("states", all, arch_cases(), steps);
    say_digest("kernel", f32, cases32, steps32);
    say_size("stack ", m7_stack_used());
    say_size("table 256x16 float32 history 64: ", mscope_table_mem(&small));
    return 0;
}
