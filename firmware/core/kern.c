/* kern.c - choose a row kernel once, at init: the one that is named, or the best usable */
#include "kern.h"

#include <string.h>

/* Best first. On a processor with 128-bit vectors the wider kernels are made of several narrow ones: the same bits,
 * slower. Without vectors they would be made of scalar operations, so the reference comes first. */
static const mscope_kern *const kerns[] = {
#if defined(MSCOPE_ONLY_REF)         /* without vector units, where the twins would only take space */
    &mscope_kern_ref
#elif defined(__x86_64__) || defined(__i386__)
    &mscope_kern_v512, &mscope_kern_v256, &mscope_kern_v128, &mscope_kern_ref
#elif defined(__aarch64__) || defined(__VEC__) || defined(__wasm_simd128__)
    &mscope_kern_v128, &mscope_kern_v256, &mscope_kern_v512, &mscope_kern_ref
#else
    &mscope_kern_ref, &mscope_kern_v128, &mscope_kern_v256, &mscope_kern_v512
#endif
};

const mscope_kern *mscope_kern_at(size_t i)
{
    return i < sizeof kerns / sizeof *kerns ? kerns[i] : NULL;
}

const mscope_kern *mscope_kern_pick(const char *name)
{
    for (size_t i = 0; i < sizeof kerns / sizeof *kerns; i++)
        if ((name == NULL || strcmp(name, kerns[i]->name) == 0) && kerns[i]->usable())
            return kerns[i];
    return NULL;
}
