/* page.h - the page as it is built into the program (host/page, bundled by the Makefile) */
#ifndef MSCOPE_SERVE_PAGE_H
#define MSCOPE_SERVE_PAGE_H

#include <stddef.h>

typedef struct mscope_page_file {
    const char *path;                        /* "/page.js"                                                      */
    const char *type;                        /* Content-Type                                                    */
    const char *bytes;                       /* static                                                          */
    size_t len;
} mscope_page_file;

/* mscope_page_file_at - the file that a browser asks for by this path, or NULL */
const mscope_page_file *mscope_page_file_at(const char *path);

#endif
