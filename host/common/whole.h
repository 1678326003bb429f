/* whole.h - a file that is there whole or not at all */
#ifndef MSCOPE_COMMON_WHOLE_H
#define MSCOPE_COMMON_WHOLE_H

#include <stddef.h>

/* mscope_whole_write - make len bytes the contents of path
 *
 * A regular file is written beside its name and renamed, so a full disk leaves the old one, or none. What is there and
 * is no regular file (a device, a pipe, a symbolic link) is written in place.
 *
 * Returns  0, or -1 with errno                                                                                */
int mscope_whole_write(const char *path, const void *bytes, size_t len);

#endif
