/* watch_live.h - watch for a person who stays: a picture drawn in place with keys, or plain text again and again */
#ifndef MSCOPE_CLI_WATCH_LIVE_H
#define MSCOPE_CLI_WATCH_LIVE_H

#include <stdint.h>

#include "monitor/monitor.h"

typedef struct mscope_watching {
    double for_s, every_s;       /* 0: until interrupted; 0: the default */
    uint32_t columns;            /* 0: those that fit */
} mscope_watching;

/* mscope_watch_live - follow until q, a signal, or for_s; the last set is left behind as plain text
 *
 * Returns  an exit code
 * In place where the terminal can (terminal/screen.h), else plain text whenever a full set is new                   */
int mscope_watch_live(const mscope_watching *o, const char *command, const mscope_listen *l, mscope_judged *j);

/* mscope_watch_plain - the set as plain text, no line wider than the terminal; summary: what the regimes mean too */
void mscope_watch_plain(const mscope_listen *l, const mscope_judged *j, uint32_t columns, int summary);

/* mscope_watch_goes_on - neither stopped nor past for_s, and someone still reads standard output */
int mscope_watch_goes_on(const mscope_watching *o, const mscope_listen *l, double start);

/* mscope_watch_say_waiting - once, after a second without a record: which daemon the command waits for */
void mscope_watch_say_waiting(const char *command, const mscope_listen *l, double start, int *said);

#endif
