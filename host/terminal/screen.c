/* screen.c - see screen.h */
#include "screen.h"

#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static SCREEN *screen;
static int drawn_rows, drawn_columns;
static volatile sig_atomic_t went_on;

/* Numbers keep their point: only the characters follow the environment. */
int mscope_screen_utf8(void)
{
    return setlocale(LC_CTYPE, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int mscope_screen_width(int otherwise)
{
    struct winsize w = { 0 };

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0)
        return otherwise;
    return w.ws_col;
}

static void colours(void)
{
    static const struct { enum mscope_style style; short colour; } pairs[] = {
        { MSCOPE_STYLE_GOOD, COLOR_GREEN }, { MSCOPE_STYLE_NOTE, COLOR_CYAN }, { MSCOPE_STYLE_WARN, COLOR_YELLOW },
        { MSCOPE_STYLE_BAD, COLOR_RED },
    };

    if (start_color() != OK)
        return;
    const short ground = use_default_colors() == OK ? -1 : COLOR_BLACK;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        init_pair((short)pairs[i].style, pairs[i].colour, ground);
}

/* Can the terminal place its cursor, and clear what it showed? */
static int able(void)
{
    const char *const place = tigetstr("cup"), *const clears = tigetstr("clear");

    return place != NULL && place != (char *)-1 && clears != NULL && clears != (char *)-1;
}

/* SIGTSTP is ncurses' own; a program stopped by SIGSTOP learns of it only now, and something else has been drawn. */
static void on_continue(int sig)
{
    went_on = sig;
}

static void on_quit(int sig)
{
    endwin();
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static void catch(int sig, void (*handler)(int))
{
    struct sigaction act;

    memset(&act, 0, sizeof act);
    act.sa_handler = handler;
    act.sa_flags = SA_RESTART;
    (void)sigaction(sig, &act, NULL);
}

int mscope_screen_open(void)
{
    const char *const plain = getenv("NO_COLOR");

    (void)mscope_screen_utf8();
    if (!isatty(STDOUT_FILENO) || (screen = newterm(NULL, stdout, stdin)) == NULL)
        return MSCOPE_ENOTSUP;
    set_term(screen);
    if (!able()) {
        mscope_screen_close();
        return MSCOPE_ENOTSUP;
    }
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
    catch(SIGCONT, on_continue);
    catch(SIGQUIT, on_quit);
    if ((plain == NULL || *plain == '\0') && has_colors())
        colours();
    return MSCOPE_OK;
}

void mscope_screen_size(int *rows, int *columns)
{
    getmaxyx(stdscr, *rows, *columns);
}

int mscope_screen_spoilt(void)
{
    struct winsize w = { 0 };
    int rows, columns;

    if (went_on) {
        went_on = 0;
        drawn_rows = 0;
        reset_prog_mode();
        clearok(curscr, TRUE);
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 && w.ws_col > 0 &&
        is_term_resized(w.ws_row, w.ws_col))
        resizeterm(w.ws_row, w.ws_col);
    mscope_screen_size(&rows, &columns);
    return rows != drawn_rows || columns != drawn_columns;
}

static attr_t looks_of(const mscope_cell *c, short *pair)
{
    static const attr_t attribute[MSCOPE_STYLES] = {
        [MSCOPE_STYLE_STRONG] = A_BOLD, [MSCOPE_STYLE_FAINT] = A_DIM, [MSCOPE_STYLE_WARN] = A_BOLD,
        [MSCOPE_STYLE_BAD] = A_BOLD, [MSCOPE_STYLE_BAR] = A_REVERSE,
    };
    const int coloured = c->style == MSCOPE_STYLE_GOOD || c->style == MSCOPE_STYLE_NOTE ||
                         c->style == MSCOPE_STYLE_WARN || c->style == MSCOPE_STYLE_BAD;

    *pair = coloured && COLOR_PAIRS > MSCOPE_STYLES ? (short)c->style : 0;
    return attribute[c->style] | (c->marked ? A_REVERSE : A_NORMAL);
}

void mscope_screen_draw(const mscope_paper *p)
{
    int rows, columns;

    mscope_screen_size(&rows, &columns);
    drawn_rows = rows;
    drawn_columns = columns;
    erase();
    for (size_t i = 0; i < p->lines && i < (size_t)rows; i++) {
        size_t n;
        const mscope_cell *c = mscope_paper_line(p, i, &n);

        move((int)i, 0);
        for (size_t k = 0; k < n; k++) {
            short pair;
            const attr_t looks = looks_of(&c[k], &pair);
            attr_set(looks, pair, NULL);
            addstr(c[k].text);
        }
    }
    attr_set(A_NORMAL, 0, NULL);
    refresh();
}

int mscope_screen_key(void)
{
    const int key = isatty(STDIN_FILENO) ? getch() : ERR;

    switch (key) {
    case KEY_UP: return MSCOPE_KEY_UP;
    case KEY_DOWN: return MSCOPE_KEY_DOWN;
    case KEY_PPAGE: return MSCOPE_KEY_PAGE_UP;
    case KEY_NPAGE: return MSCOPE_KEY_PAGE_DOWN;
    case KEY_HOME: return MSCOPE_KEY_HOME;
    case KEY_END: return MSCOPE_KEY_END;
    default: return key > 0 && key < 256 ? key : MSCOPE_KEY_NONE;
    }
}

void mscope_screen_close(void)
{
    if (screen == NULL)
        return;
    catch(SIGCONT, SIG_DFL);
    catch(SIGQUIT, SIG_DFL);
    endwin();
    delscreen(screen);
    screen = NULL;
}
