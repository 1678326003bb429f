/* screen.h - the terminal of standard output: what it can do, its size, its keys, and pictures drawn in place
 *
 * Drawing is by ncurses on the terminal's second screen, which is given back as it was. Colours are used where the
 * terminal has them and NO_COLOR is unset or empty. Keys are read only where standard input is a terminal.
 * One screen, one thread.                                                                                       */
#ifndef MSCOPE_TERMINAL_SCREEN_H
#define MSCOPE_TERMINAL_SCREEN_H

#include "mscope/err.h"
#include "paper.h"

enum mscope_key {
    MSCOPE_KEY_NONE = 0,         /* others are their character */
    MSCOPE_KEY_UP = 256, MSCOPE_KEY_DOWN, MSCOPE_KEY_PAGE_UP, MSCOPE_KEY_PAGE_DOWN, MSCOPE_KEY_HOME, MSCOPE_KEY_END
};

/* mscope_screen_utf8 - does the locale of the environment (LC_ALL, LC_CTYPE, LANG) show UTF-8? */
int mscope_screen_utf8(void);

/* mscope_screen_width - columns of standard output; `otherwise` where it is no terminal or does not tell */
int mscope_screen_width(int otherwise);

/* mscope_screen_open - take the terminal
 *
 * Ctrl-Z and SIGQUIT give it back; when the program goes on, it is taken again
 * Errors   MSCOPE_ENOTSUP: standard output is no terminal, or one that cannot place its cursor (TERM=dumb)      */
MSCOPE_MUST_CHECK int mscope_screen_open(void);
void mscope_screen_size(int *rows, int *columns);

/* mscope_screen_spoilt - 1, once: since it was drawn its size has changed, or the program was stopped, and it is to be
 * drawn anew whatever is on it */
int mscope_screen_spoilt(void);
void mscope_screen_draw(const mscope_paper *p);

/* mscope_screen_key - a key that was pressed, or MSCOPE_KEY_NONE; never waits. A resize counts as none */
int mscope_screen_key(void);

/* mscope_screen_close - give the terminal back; harmless when it was not taken */
void mscope_screen_close(void);

#endif
