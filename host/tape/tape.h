/* tape.h - a recorded training run in a file: every message of its trainers once, in the order they came
 *
 * protocol/README.md section 3 has the bytes. A thread of its own writes the tape, so that the recorder never waits for
 * a disk. A tape is read through a mapping of the file. A recorder that is killed loses what waited for that thread,
 * and the file ends within an entry at worst; everything else that is wrong is damage. */
#ifndef MSCOPE_TAPE_TAPE_H
#define MSCOPE_TAPE_TAPE_H

#include <zmq.h>

#include "mscope/wire.h"

#define MSCOPE_TAPE_MAGIC "MSCPTAPE"  /* 8 bytes, without the 0 */

enum {
    MSCOPE_TAPE_VERSION = 1,
    MSCOPE_TAPE_HEADER = 64,         /* bytes of the file's header                                 */
    MSCOPE_TAPE_ENTRY = 32,          /* bytes before an entry's body                               */
    MSCOPE_TAPE_PARTS = 8           /* most parts of a message                                     */
};

enum mscope_entry_kind { MSCOPE_ENTRY_MESSAGE = 1, MSCOPE_ENTRY_LOST = 2, MSCOPE_ENTRY_END = 3 };

/* -- reading ---------------------------------------------------------------------------------------- */

typedef struct mscope_entry {
    enum mscope_entry_kind kind;
    uint64_t number, time_ns;        /* 1, 2, 3 ...; since the recording started                   */
    unsigned parts;                 /* MESSAGE                                                    */
    const uint8_t *part[MSCOPE_TAPE_PARTS];
    size_t len[MSCOPE_TAPE_PARTS];
    mscope_header header;            /* MESSAGE: of part 0, checked                               */
    uint64_t lost_session, lost_first, lost_last;     /* LOST: sequence numbers                    */
    uint64_t end_messages, end_lost; /* END                                                        */
} mscope_entry;

typedef struct mscope_tape {
    const uint8_t *map;
    size_t size, at;                 /* at: where the next entry begins                            */
    uint64_t id, started_ns;         /* drawn at random; Unix time                                 */
    uint64_t entries, time_ns;       /* read so far; time of the last one                          */
    int ended, cut;                  /* END was read; the last entry is not whole                  */
} mscope_tape;

/* mscope_tape_open - map a file and check its header; read position at the first entry
 *
 * Errors   MSCOPE_EIO the file cannot be read;  MSCOPE_EPROTO not a recording, or damaged;  MSCOPE_EVERSION. All fill
 *          *why                                                                                              */
MSCOPE_MUST_CHECK int mscope_tape_open(mscope_tape *t, const char *path, mscope_refusal *why);
/* mscope_tape_over - the same over a recording that lies in memory, which stays the caller's: nothing to close */
MSCOPE_MUST_CHECK int mscope_tape_over(mscope_tape *t, const uint8_t *bytes, size_t size, mscope_refusal *why);

/* mscope_tape_next - the next entry; its parts lie in the mapping until close
 *
 * Returns  1; 0 at the end (t->ended: in order, t->cut: in the middle of an entry);  MSCOPE_EPROTO damage: *why says
 *          where and what. The position stays there, so every later call returns the same
 * Cost     one pass over the entry's bytes                                                          */
MSCOPE_MUST_CHECK int mscope_tape_next(mscope_tape *t, mscope_entry *out, mscope_refusal *why);
void mscope_tape_rewind(mscope_tape *t);
void mscope_tape_close(mscope_tape *t);

/* -- writing ---------------------------------------------------------------------------------------- */

typedef struct mscope_tape_writer mscope_tape_writer;

/* mscope_tape_create - a new file and the thread that writes it; a file that exists is not touched
 *
 * Shape    buffer_bytes: most bytes of messages that may wait for the disk
 * Errors   MSCOPE_EBUSY the file exists;  MSCOPE_EIO, MSCOPE_ENOMEM; *why filled                     */
MSCOPE_MUST_CHECK int mscope_tape_create(mscope_tape_writer **out, const char *path, uint64_t buffer_bytes,
                                         mscope_refusal *why);

/* mscope_tape_append, mscope_tape_lost - a message of n <= MSCOPE_TAPE_PARTS parts, taken by reference; sequence
 * numbers of messages that are not in the file. Neither call waits for the disk.
 *
 * Returns  0;  MSCOPE_EAGAIN the buffer has no room, the message was not taken;  MSCOPE_EIO writing has failed: finish
 *          counts the message as lost, and the end of the file names it as far as there is room;  MSCOPE_ENOMEM
 * Threads  one                                                                                      */
MSCOPE_MUST_CHECK int mscope_tape_append(mscope_tape_writer *w, zmq_msg_t *part, unsigned n);
MSCOPE_MUST_CHECK int mscope_tape_lost(mscope_tape_writer *w, uint64_t session, uint64_t first, uint64_t last);

int mscope_tape_room(mscope_tape_writer *w);             /* 1: at least half of the buffer is free      */
uint64_t mscope_tape_bytes(const mscope_tape_writer *w); /* of the file, with all that was appended      */

typedef struct mscope_tape_sum {
    uint64_t messages, lost, bytes;  /* in the file, not in it, of the file                        */
} mscope_tape_sum;

/* mscope_tape_finish - write the entries that wait and END, wait until the disk confirms them, close, and free w
 *
 * Shape    lost: messages that the caller knows to be missing; messages that could not be written are added
 * Returns  0, or MSCOPE_EIO with *why: the file holds sum->messages whole messages, then LOST entries and END, or
 *          nothing more where there was no room for these either. *sum is filled in both cases              */
MSCOPE_MUST_CHECK int mscope_tape_finish(mscope_tape_writer *w, uint64_t lost, mscope_tape_sum *sum,
                                         mscope_refusal *why);

#endif
