/* page.c - see page.h: the assembler puts the bundled files into the program as they are */
#include "page.h"

#include <string.h>

#define EMBED(name, file)                                                                                      \
    __asm__(".section .rodata\n.global mscope_page_" #name "\n.global mscope_page_" #name "_end\n"             \
            "mscope_page_" #name ":\n.incbin \"" MSCOPE_PAGE_DIR "/" file "\"\n"                               \
            "mscope_page_" #name "_end:\n.byte 0\n.previous\n");                                               \
    extern const char mscope_page_##name[], mscope_page_##name##_end[]

EMBED(html, "page.html");
EMBED(css, "page.css");
EMBED(js, "page.js");
EMBED(icon, "icon.svg");
EMBED(licences, "licences.txt");

const mscope_page_file *mscope_page_file_at(const char *path)
{
    static mscope_page_file files[] = {
        { "/", "text/html; charset=utf-8", mscope_page_html, 0 },
        { "/page.css", "text/css; charset=utf-8", mscope_page_css, 0 },
        { "/page.js", "text/javascript; charset=utf-8", mscope_page_js, 0 },
        { "/icon.svg", "image/svg+xml", mscope_page_icon, 0 },
        { "/favicon.ico", "image/svg+xml", mscope_page_icon, 0 },
        { "/licences.txt", "text/plain; charset=utf-8", mscope_page_licences, 0 },
    };
    static const char *const ends[] = { mscope_page_html_end, mscope_page_css_end, mscope_page_js_end,
                                        mscope_page_icon_end, mscope_page_icon_end, mscope_page_licences_end };

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].path, path) == 0) {
            files[i].len = (size_t)(ends[i] - files[i].bytes);
            return &files[i];
        }
    return NULL;
}
