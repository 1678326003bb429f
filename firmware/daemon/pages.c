/* pages.c - see pages.h */
#include "pages.h"

#include <stdio.h>
#include <string.h>

#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25             /* Linux 6.1 */
#endif

#define PIECE ((size_t)32 << 20)     /* between two looks at stop */

void mscope_pages_large(void *at, size_t len)
{
    (void)madvise(at, len, MADV_HUGEPAGE);
}

/* MADV_COLLAPSE alone would not ask. */
static int wanted(void)
{
    char line[128] = "[never]";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");

    if (f == NULL)
        return 0;
    if (fgets(line, sizeof line, f) == NULL)
        line[0] = '\0';
    (void)fclose(f);
    return strstr(line, "[never]") == NULL;
}

void mscope_pages_join(void *at, size_t len, const _Atomic int *stop)
{
    char *p = at;

    if (!wanted())
        return;
    while (len > 0 && !atomic_load_explicit(stop, memory_order_acquire)) {
        const size_t n = len < PIECE ? len : PIECE;
        (void)madvise(p, n, MADV_COLLAPSE);          /* of the whole large pages in it */
        p += n;
        len -= n;
    }
}
