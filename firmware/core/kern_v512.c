/* kern_v512.c - the twin for 512-bit units; the Makefile enables AVX-512F for this one file on x86 */
#ifdef __AVX512F__
#define KERN_USABLE __builtin_cpu_supports("avx512f")
#else
#define KERN_USABLE 1                /* as kern_v256.c */
#endif
#define KERN mscope_kern_v512
#define KERN_NAME "v512"
#define KERN_LANES 16
#include "kern_simd.h"
