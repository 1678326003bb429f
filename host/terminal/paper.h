/* paper.h - styled text of a fixed width, line by line: composed once, then shown on a screen or printed
 *
 * Text is UTF-8. A character that a terminal could take for a command becomes '?', and so does every character beyond
 * ASCII where the locale is not UTF-8. No line is wider than the paper: mscope_paper_add cuts, mscope_paper_say wraps.
 * Memory that runs out leaves lines away, and mscope_paper_failed tells.                                           */
#ifndef MSCOPE_TERMINAL_PAPER_H
#define MSCOPE_TERMINAL_PAPER_H

#include <stddef.h>
#include <stdio.h>

enum mscope_style {
    MSCOPE_STYLE_PLAIN, MSCOPE_STYLE_STRONG, MSCOPE_STYLE_FAINT, MSCOPE_STYLE_GOOD, MSCOPE_STYLE_NOTE,
    MSCOPE_STYLE_WARN, MSCOPE_STYLE_BAD, MSCOPE_STYLE_BAR, MSCOPE_STYLES
};

/* One character; wide ones take two columns. */
typedef struct mscope_cell {
    char text[7];                /* UTF-8 with its closing zero */
    unsigned char columns;       /* 1 or 2 */
    unsigned char style;
    unsigned char marked;        /* on the line that a person has chosen */
} mscope_cell;

typedef struct mscope_paper {
    int width, utf8;
    mscope_cell *cell;           /* the characters of all lines */
    size_t cells, cells_room;
    size_t *end;                 /* end[i]: where line i ends in cell[] */
    size_t lines, lines_room;
    int column, failed;          /* of the line being written */
} mscope_paper;

/* mscope_paper_open - an empty sheet; free with mscope_paper_fini.  Shape width > 0 columns; utf8: of the terminal */
void mscope_paper_open(mscope_paper *p, int width, int utf8);
void mscope_paper_fini(mscope_paper *p);

/* mscope_paper_add - words on the line being written, cut at the edge; mscope_paper_end closes the line */
void mscope_paper_add(mscope_paper *p, enum mscope_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void mscope_paper_end(mscope_paper *p);

/* mscope_paper_mark - the line being written is the chosen one: it is filled up and marked when it ends */
void mscope_paper_mark(mscope_paper *p);

/* mscope_paper_say - a paragraph: wrapped at blanks, later lines indented; cut with "..."
 * after `most` lines (0: never) */
void mscope_paper_say(mscope_paper *p, enum mscope_style style, int indent, int most, const char *text);

/* mscope_paper_line - the characters of line i */
const mscope_cell *mscope_paper_line(const mscope_paper *p, size_t i, size_t *n);

/* mscope_paper_print - all lines as plain text */
void mscope_paper_print(const mscope_paper *p, FILE *to);

#endif
