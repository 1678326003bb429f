/* kern.c - choose a row kernel once, at init: the widest usable, or the one named */
#include "core/kern.h"

#include <string.h>

static const mscope_kern *const kerns[] = { &mscope_kern_v256, &mscope_kern_v128, &mscope_kern_ref };

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
