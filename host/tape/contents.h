/* contents.h - what a recording holds: the tables of its sessions, their steps, probes, rows and losses
 *
 * It is fed message by message, in the same way while recording and while reading.                              */
#ifndef MSCOPE_TAPE_CONTENTS_H
#define MSCOPE_TAPE_CONTENTS_H

#include <stdio.h>

#include "tape.h"

typedef struct mscope_recorded_table {
    uint64_t session;
    uint32_t handle;
    mscope_hello hello;              /* the first one                                              */
    uint64_t step;                   /* last completed step                                        */
    uint64_t steps, probes, references, syncs;      /* messages of each kind; syncs: of whole tables */
    uint64_t before, lost;           /* steps missing before the first STEP, and after it          */
    uint64_t entries;                /* rows sent in steps, duplicates counted                     */
    uint64_t refused;                /* messages that a daemon would refuse; a STEP among them is a lost step */
    uint32_t covered;                /* rows 0 .. covered-1 synced since the last loss             */
    int known;                       /* theta and m follow from the messages: the table was fresh, or a whole SYNC came
                                        since the last loss                                        */
    uint64_t known_at;               /* from this step on                                          */
} mscope_recorded_table;

typedef struct mscope_contents {
    mscope_recorded_table *table;    /* in the order of their first HELLO                          */
    size_t tables;
    uint64_t messages, lost;         /* messages in the recording; messages noted as lost          */
    uint64_t entries;                /* of a tape that was read                                    */
    double seconds;                  /* from the first to the last entry                           */
    int cut;                         /* it ends without END: the recorder was killed               */
} mscope_contents;

/* mscope_contents_judge - 0, or why the daemon would refuse what a message of a known table holds (judge.h) */
MSCOPE_MUST_CHECK int mscope_contents_judge(const mscope_contents *c, const mscope_header *h,
                                            const uint8_t *const *part, const size_t *len, unsigned n,
                                            mscope_refusal *why);
void mscope_contents_refuse(mscope_contents *c, const mscope_header *h);     /* count one that was refused */
/* mscope_contents_take - count one message, whose header was checked and whose contents were judged
 *
 * Returns  0;  MSCOPE_EPROTO a HELLO that cannot be read, or of one table too many, with *why;  MSCOPE_ENOMEM */
MSCOPE_MUST_CHECK int mscope_contents_take(mscope_contents *c, const mscope_header *h, const uint8_t *const *part,
                                           const size_t *len, unsigned n, mscope_refusal *why);
mscope_recorded_table *mscope_contents_find(const mscope_contents *c, uint64_t session, uint32_t handle);

/* mscope_contents_read - count everything on a tape, from its beginning, and rewind it
 *
 * Returns  0, or the error of mscope_tape_next                                                       */
MSCOPE_MUST_CHECK int mscope_contents_read(mscope_contents *c, mscope_tape *t, mscope_refusal *why);

/* mscope_contents_whole - 1: no message or step is lost or refused, and the rows of every table are known */
int mscope_contents_whole(const mscope_contents *c);

/* mscope_contents_print - a line or two for each table */
void mscope_contents_print(const mscope_contents *c, FILE *to);
void mscope_contents_free(mscope_contents *c);

#endif
