/* kern_v256.c - the twin for 256-bit units; the Makefile enables AVX2 and FMA for this one file on x86 */
#ifdef __AVX2__
#define KERN_USABLE (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#else
#define KERN_USABLE 1                /* SIMDe builds it from narrower operations, which this build uses anyway */
#endif
#define KERN mscope_kern_v256
#define KERN_NAME "v256"
#define KERN_LANES 8
#include "kern_simd.h"
