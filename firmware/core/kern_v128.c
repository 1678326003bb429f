/* kern_v128.c - the twin for 128-bit units (SSE2, NEON): SIMDe splits each 256-bit vector in two */
#define KERN_USABLE 1
#define KERN mscope_kern_v128
#define KERN_NAME "v128"
#include "core/kern_simd.h"
