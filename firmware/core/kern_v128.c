/* kern_v128.c - the twin for 128-bit units (SSE2, NEON) */
#define KERN_USABLE 1
#define KERN mscope_kern_v128
#define KERN_NAME "v128"
#define KERN_LANES 4
#include "kern_simd.h"
