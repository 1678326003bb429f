/* kern_v512.c - the twin for 512-bit units; the Makefile enables AVX-512F for this one file on x86 */
#if defined(__x86_64__) || defined(__i386__)
#define KERN_USABLE __builtin_cpu_supports("avx512f")
#else
#define KERN_USABLE 1
#endif
#define KERN mscope_kern_v512
#define KERN_NAME "v512"
#define KERN_LANES 16
#include "core/kern_simd.h"
