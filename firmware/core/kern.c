/* kern.c - choose a row kernel once, at init: the best usable, or the one named */
#include "kern.h"

#include <string.h>

/* Best first. Where 128 bits are what the processor has, wider twins are made of narrower vectors: they give the same bits,
 * later; and where it has no vectors at all the reference is what a vector would be made of. */
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
