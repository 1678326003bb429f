/* times.h - how long things took, and why the long ones were long
 *
 * A stretch of more than 1 ms has waited (the thread gave its processor up, to sleep or for a lock), or worked (used
 * more than 1 ms of processor time), or neither: then another process had the processor, or a page of the program had
 * to come from the disk. Only the first two are the doing of the code that is measured. */
#ifndef FAULTS_TIMES_H
#define FAULTS_TIMES_H

#include <stdint.h>

enum { TIMES_BUCKETS = 512 };        /* sixteen an octave, from 2^-10 us */

typedef struct faults_times {
    uint64_t bucket[TIMES_BUCKETS];
    uint64_t n, above, waited, worked;       /* of those above 1 ms */
    double most, total;                      /* seconds */
} faults_times;

typedef struct faults_moment {
    double wall, cpu, kernel;                /* kernel: the part of cpu that was spent in it */
    long gave_up, paged, faulted, stops[2];  /* stops: when its reading began, when it ended */
} faults_moment;

void faults_times_skip_stops(void);          /* from now on a stretch in which the process was stopped is no stretch */
faults_moment faults_now(void);
int faults_times_note(faults_times *t, faults_moment from, faults_moment to);        /* 1: it has waited or worked */
void faults_times_print(const faults_times *t, const char *name);    /* a member of a JSON object, to stdout, seconds */

#endif
