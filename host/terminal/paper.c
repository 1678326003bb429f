/* paper.c - see paper.h */
#include "paper.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { TEXT_MAX = 4096 };

void mscope_paper_open(mscope_paper *p, int width, int utf8)
{
    *p = (mscope_paper){ .width = width, .utf8 = utf8 };
}

void mscope_paper_fini(mscope_paper *p)
{
    free(p->cell);
    free(p->end);
    *p = (mscope_paper){ .width = 0 };
}

/* Room for one more; 0, or -1. */
static int grow(void **at, size_t have, size_t *room, size_t size)
{
    if (have < *room)
        return 0;
    const size_t more = *room > 0 ? 2 * *room : 256;
    void *p = realloc(*at, more * size);

    if (p == NULL)
        return -1;
    *at = p;
    *room = more;
    return 0;
}

/* One character of text into c; returns its bytes. */
static size_t read_character(const mscope_paper *p, const char *text, mscope_cell *c)
{
    const unsigned char first = (unsigned char)*text;
    mbstate_t state;
    wchar_t wide;
    size_t n = 1;
    int columns = 1;

    *c = (mscope_cell){ .text = "?", .columns = 1 };
    if (first >= 0x20 && first < 0x7f) {
        c->text[0] = *text;
        return 1;
    }
    if (first < 0x80)
        return 1;
    if (!p->utf8) {
        while (((unsigned char)text[n] & 0xc0) == 0x80)
            n++;
        return n;
    }
    memset(&state, 0, sizeof state);
    n = mbrtowc(&wide, text, strlen(text), &state);
    if (n == (size_t)-1 || n == (size_t)-2 || n == 0 || n >= sizeof c->text)
        return 1;
    columns = wcwidth(wide);
    if (columns == 1 || columns == 2) {
        memcpy(c->text, text, n);
        c->text[n] = '\0';
        c->columns = (unsigned char)columns;
    }
    return n;
}

static void put(mscope_paper *p, mscope_cell c, enum mscope_style style)
{
    if (p->column + c.columns > p->width)
        return;
    if (grow((void **)&p->cell, p->cells, &p->cells_room, sizeof *p->cell) != 0) {
        p->failed = 1;
        return;
    }
    c.style = (unsigned char)style;
    p->cell[p->cells++] = c;
    p->column += c.columns;
}

static void put_text(mscope_paper *p, enum mscope_style style, const char *text, size_t len)
{
    mscope_cell c;

    for (const char *const stop = text + len; text < stop;) {
        text += read_character(p, text, &c);
        put(p, c, style);
    }
}

static size_t line_start(const mscope_paper *p)
{
    return p->lines > 0 ? p->end[p->lines - 1] : 0;
}

/* The line goes on where it may not: its last characters say so. */
static void cut(mscope_paper *p, enum mscope_style style)
{
    while (p->cells > line_start(p) && p->column + 3 > p->width)
        p->column -= p->cell[--p->cells].columns;
    put_text(p, style, "...", 3);
}

void mscope_paper_add(mscope_paper *p, enum mscope_style style, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_text(p, style, text, strlen(text));
}

void mscope_paper_end(mscope_paper *p)
{
    if (grow((void **)&p->end, p->lines, &p->lines_room, sizeof *p->end) != 0)
        p->failed = 1;
    else
        p->end[p->lines++] = p->cells;
    p->cells = line_start(p);                /* a line without room leaves nothing behind */
    p->column = 0;
}

void mscope_paper_mark(mscope_paper *p)
{
    while (p->column < p->width && !p->failed)
        put_text(p, MSCOPE_STYLE_PLAIN, " ", 1);
    for (size_t i = line_start(p); i < p->cells; i++)
        p->cell[i].marked = 1;
}

/* How many bytes of text fit into `room` columns, broken at the last blank where there is one. */
static size_t fits(const mscope_paper *p, const char *text, int room)
{
    size_t at = 0, blank = 0;
    mscope_cell c;

    while (text[at] != '\0') {
        const size_t n = read_character(p, text + at, &c);
        if (text[at] == ' ')
            blank = at;
        if (room < c.columns)
            return blank > 0 ? blank : at > 0 ? at : n;
        room -= c.columns;
        at += n;
    }
    return at;
}

void mscope_paper_say(mscope_paper *p, enum mscope_style style, int indent, int most, const char *text)
{
    for (int i = 1; *text != '\0'; i++) {
        const size_t n = fits(p, text, p->width - p->column > 0 ? p->width - p->column : 1);

        put_text(p, style, text, n);
        text += n;
        text += strspn(text, " ");
        if (i == most && *text != '\0') {
            cut(p, style);
            text = "";
        }
        mscope_paper_end(p);
        for (int k = 0; k < indent && *text != '\0' && k < p->width / 2; k++)
            put_text(p, style, " ", 1);
    }
}

const mscope_cell *mscope_paper_line(const mscope_paper *p, size_t i, size_t *n)
{
    const size_t from = i > 0 ? p->end[i - 1] : 0;

    *n = p->end[i] - from;
    return p->cell + from;
}

void mscope_paper_print(const mscope_paper *p, FILE *to)
{
    for (size_t i = 0; i < p->lines; i++) {
        size_t n;
        const mscope_cell *c = mscope_paper_line(p, i, &n);

        while (n > 0 && strcmp(c[n - 1].text, " ") == 0)
            n--;
        for (size_t k = 0; k < n; k++)
            fputs(c[k].text, to);
        fputc('\n', to);
    }
}
