/* kern_v256.c - the twin for 256-bit units; the Makefile enables AVX2 for this one file on x86 */
#if defined(__x86_64__) || defined(__i386__)
#define KERN_USABLE __builtin_cpu_supports("avx2")
#else
#define KERN_USABLE 1
#endif
#define KERN mscope_kern_v256
#define KERN_NAME "v256"
#define KERN_LANES 8
#include "core/kern_simd.h"
