/* m7.h - the little a test needs of the board: semihosting (the debugger prints), and how much stack was used */
#ifndef TESTS_ARCH_M7_H
#define TESTS_ARCH_M7_H

#include <stdint.h>

int m7_main(void);
int m7_call(int op, const void *with);       /* a semihosting call; 4: print a string */
void m7_exit(int failed);
uint32_t m7_stack_used(void);                /* bytes below the top that were ever written */

#endif
