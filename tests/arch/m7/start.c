/* start.c - from reset to main on a Cortex-M7: floating point on, memory set up, the stack painted */
#include "m7.h"

extern uint32_t m7_data[], m7_data_end[], m7_data_image[], m7_bss[], m7_bss_end[], m7_stack[], m7_stack_top[];
void m7_reset(void);
static void fault(void);

typedef void handler(void);
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    handler *handlers[15];           /* reset, NMI, faults, .. SysTick */
} vectors = { m7_stack_top,
              { m7_reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
                fault } };

#define CPACR (*(volatile uint32_t *)0xE000ED88u)    /* coprocessor access: 10 and 11 are the floating point unit */
#define PAINT 0xC5C5C5C5u

int m7_call(int op, const void *with)
{
    register int r0 __asm__("r0") = op;
    register const void *r1 __asm__("r1") = with;

    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void m7_exit(int failed)
{
    (void)m7_call(0x18, (const void *)(failed ? 0x20023 : 0x20026));     /* run-time error, or application exit */
    for (;;)
        ;
}

static void fault(void)
{
    (void)m7_call(0x04, "fault\n");
    m7_exit(1);
}

uint32_t m7_stack_used(void)
{
    const uint32_t *at = m7_stack;

    while (at < m7_stack_top && *at == PAINT)
        at++;
    return (uint32_t)(m7_stack_top - at) * 4;
}

/* Nothing here may use floating point before the unit is on, or data before it is there. */
__attribute__((noreturn)) void m7_reset(void)
{
    uint32_t *here = __builtin_frame_address(0);

    CPACR |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
    for (uint32_t *to = m7_data, *from = m7_data_image; to < m7_data_end;)
        *to++ = *from++;
    for (uint32_t *to = m7_bss; to < m7_bss_end;)
        *to++ = 0;
    for (uint32_t *to = m7_stack; to < here - 32; to++)      /* this function's own frame stays as it is */
        *to = PAINT;
    m7_exit(m7_main());
    for (;;)
        ;
}
