/* tape.h - a recorded training run in a file: every message of its trainers once, in the order they came
 *
 * protocol/README.md section 3 has the bytes. A tape is written by one thread of its own, so that no disk is waited
 * for, and read through a mapping of the file. What a kill cut off is only the last entry; anything else that is wrong
 * is damage.   */
#ifndef MSCOPE_RECORD_TAPE_H
#define MSCOPE_RECORD_TAPE_H

#include <zmq.h>

#include "mscope/wire.h"

#define MSCOPE_TAPE_MAGIC "MSCPTAPE"  /* 8 bytes, without the 0 */

enum {
    MSCOPE_TAPE_VERSION = 1,
    MSCOPE_TAPE_HEADER = 64,         /* bytes of the file's header                                 */
    MSCOPE_TAPE_ENTRY = 32,          /* bytes before an entry's body                               */
    MSCOPE_TAPE_PARTS = 8           /* most parts of a message                                   */
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
 * Errors   MSCOPE_EIO the file cannot be read;  MSCOPE_EPROTO not a recording, or damaged;  MSCOPE_EVERSION; *why
 * filled */
MSCOPE_MUST_CHECK int mscope_tape_open(mscope_tape *t, const char *path, mscope_refusal *why);

/* mscope_tape_next - the next entry; its parts lie in the mapping until close
 * Returns  1; 0 at the end (t->cut, t->ended tell which);  MSCOPE_EPROTO damage, with *why saying where and what; the
 *          position stays, so every later call says the same
 * Cost     one pass over the entry's bytes                                                          */
MSCOPE_MUST_CHECK int mscope_tape_next(mscope_tape *t, mscope_entry *out, mscope_refusal *why);
void mscope_tape_rewind(mscope_tape *t);
void mscope_tape_close(mscope_tape *t);

/* -- writing ---------------------------------------------------------------------------------------- */

typedef struct mscope_tape_writer mscope_tape_writer;

/* mscope_tape_create - a new file and the thread that writes it; a file that exists is not touched
 * buffer_bytes: most bytes of messages that wait for the disk
 * Errors   MSCOPE_EBUSY the file exists;  MSCOPE_EIO, MSCOPE_ENOMEM; *why filled                     */
MSCOPE_MUST_CHECK int mscope_tape_create(mscope_tape_writer **out, const char *path, uint64_t buffer_bytes,
                                         mscope_refusal *why);

/* mscope_tape_append - a message, n <= MSCOPE_TAPE_PARTS parts, taken by reference; lost: sequence numbers that are not
 * in the file. Neither waits for the disk.
 * Returns  0;  MSCOPE_EAGAIN no room in the buffer: not taken;  MSCOPE_EIO writing has failed: it is among what finish
 *          counts as lost and the file's end names, as far as it has room;  MSCOPE_ENOMEM
 * Threads  one                                                                                      */
MSCOPE_MUST_CHECK int mscope_tape_append(mscope_tape_writer *w, zmq_msg_t *part, unsigned n);
MSCOPE_MUST_CHECK int mscope_tape_lost(mscope_tape_writer *w, uint64_t session, uint64_t first, uint64_t last);

int mscope_tape_room(mscope_tape_writer *w);             /* 1: at least half of the buffer is free      */
uint64_t mscope_tape_bytes(const mscope_tape_writer *w); /* of the file, with all that was appended      */

typedef struct mscope_tape_sum {
    uint64_t messages, lost, bytes;  /* in the file, not in it, of the file                        */
} mscope_tape_sum;

/* mscope_tape_finish - write what waits, the END entry, have the disk confirm it, and close; frees w
 * lost: messages the caller knows to be missing; those that could not be written are added
 * Returns  0, or MSCOPE_EIO with *why: the file holds sum->messages whole ones, then LOST for what is missing and END,
 * or, where there was no room for those either, nothing more. *sum is filled either way             */
MSCOPE_MUST_CHECK int mscope_tape_finish(mscope_tape_writer *w, uint64_t lost, mscope_tape_sum *sum,
                                         mscope_refusal *why);

#endif
