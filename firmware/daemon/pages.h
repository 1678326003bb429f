/* pages.h - the memory of tables in pages of 2 MiB, where the system has them
 *
 * Rows are visited at random, so large pages save page walks; and a fork copies one entry instead of 512. But while a
 * saving child lives, each small page that the engine writes to is copied by itself, and its large page falls apart.
 * Then the next fork is slow: 8 ms of processor time for 577 MB, 0.5 after the pages were joined again. */
#ifndef MSCOPE_DAEMON_PAGES_H
#define MSCOPE_DAEMON_PAGES_H

#include <stdatomic.h>
#include <stddef.h>

/* mscope_pages_large - ask for large pages in memory that was just mapped
 * mscope_pages_join - make large pages of the small ones again, until *stop; does nothing where the system refuses or
 * its administrator wants none
 *
 * Threads  any; who touches a page that is being joined waits for at most the copying of 2 MiB. The memory may be
 *          unmapped meanwhile.  Cost  0.04 s of processor time for 577 MB of which a half had fallen apart   */
void mscope_pages_large(void *at, size_t len);
void mscope_pages_join(void *at, size_t len, const _Atomic int *stop);

#endif
