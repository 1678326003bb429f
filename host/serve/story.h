/* story.h - a run as it is followed: the judged set, how its numbers moved, and what happened
 *
 * Data flow: records, one by one -> mscope_story_take -> the judged set, a series for each table and band, and a word
 * on each table that is said again when its level changes. Live and recorded records are told in the same way.
 *
 * Threads  one at a time, for all stories of the process: FFTW plans in mscope_judged_modes                     */
#ifndef MSCOPE_SERVE_STORY_H
#define MSCOPE_SERVE_STORY_H

#include "monitor/judged.h"
#include "series.h"
#include "word.h"

/* Columns of the series, in this order. */
#define MSCOPE_STORY_BAND(X) X(p) X(x) X(R) X(V) X(H) X(zeta) X(noise) X(regime) X(P)
#define MSCOPE_STORY_TABLE(X) X(eta) X(eps) X(R) X(V) X(climb) X(H) X(H_se) X(level)
#define MSCOPE_STORY_NAME(name) #name,

/* Something that happened: an alert of the daemon, or a change that the story noticed. */
typedef struct mscope_happening {
    double at;                               /* Unix time in s                                                    */
    double step;
    enum mscope_concern level;                 /* how bad it is now                                                 */
    char table[MSCOPE_NAME_MAX + 1];         /* "": the daemon                                                    */
    char code[MSCOPE_NAME_MAX + 1];          /* a code of the daemon; a level; silent, heard, restarted           */
    char text[520];
    char key[48];                            /* of a record: the same one is kept once; "": no record              */
} mscope_happening;

/* Records of a table that wait until it is their turn: story.rest. */
typedef struct mscope_held {
    mscope_telemetry *band[MSCOPE_BANDS], *stability, *table;    /* NULL: none; the newest of each             */
    uint64_t epoch;
    double given_at;                         /* when such records were last taken                                */
    int any;
} mscope_held;

typedef struct mscope_told {
    mscope_held held;
    mscope_series whole, band[MSCOPE_BANDS];
    mscope_word word;
    double since_step, since_at;             /* the word has had its level since then                             */
    int any, stale;                          /* there is a word; bands have spoken since                          */
} mscope_told;

typedef struct mscope_story {
    mscope_judged judged;
    mscope_told *table;                      /* one for each table of the judged set                              */
    size_t tables;
    const char *only;                        /* records of other tables are passed over; NULL: all are taken          */
    double heard_at, epoch_at;               /* the last record; the first of this daemon. 0: none                */
    uint64_t epoch, records;
    double band_s;                           /* time for each band of the set between two judgements; 0: judge all */
    double rest;                             /* so a table's records are judged at most every so many s           */
    int past;                                /* what is taken has no time: its points have at = 0                  */
    int untold;                              /* changes of words are old, and not told                             */
    int silent;                              /* nothing was heard for three of the daemon's intervals and 2 s     */
    void (*tell)(void *context, const mscope_happening *h);      /* NULL: nobody listens                          */
    void *context;
} mscope_story;

/* mscope_story_take - fold one record in
 *
 * Shape    at: when it was heard, Unix time in s
 * Errors   MSCOPE_ENOMEM; the record may be half folded in, and the next one repairs that                       */
MSCOPE_MUST_CHECK int mscope_story_take(mscope_story *s, const mscope_telemetry *m, double at);

/* mscope_story_clock - notice silence, words that bands have overtaken, records that waited long enough; call it about
 * twice a second */
void mscope_story_clock(mscope_story *s, double at);

/* mscope_story_thin - half of the points of every series */
void mscope_story_thin(mscope_story *s);

void mscope_story_fini(mscope_story *s);

#endif
