/* engine.h - sessions, tables and the rules of protocol/README.md, without sockets, clock or heap
 *
 * One thread calls everything here. A message comes in as parts, answers go out as headers and bodies, records go
 * into the ring. Time is handed in. Memory for a table is mapped when a HELLO creates it; nothing else is.
 *
 *   engine.c   sessions, sequence numbers, dispatch        steps.c    STEP, PROBE, REFERENCE, SYNC into the core
 *   tables.c   HELLO: tables come, stay, change hands      records.c  core to telemetry records
 *   slices.c   a publication in pieces between messages                                                        */
#ifndef MSCOPE_DAEMON_ENGINE_H
#define MSCOPE_DAEMON_ENGINE_H

#include "mscope/core.h"
#include "mscope/wire.h"
#include "ring.h"

#define MSCOPE_SESSIONS 256
#define MSCOPE_SHM_PLACES 64
#define MSCOPE_MESSAGE_PARTS 8              /* most parts of a message that are looked at              */

typedef struct mscope_engine_config {
    uint32_t max_tables, history;
    uint64_t max_bytes;              /* memory for all tables                                    */
    uint64_t max_part;              /* bytes of the largest part a table may need              */
    uint64_t credit_messages, credit_bytes;
    uint64_t takeover_ns;
    uint64_t interval_steps;         /* publish a table every so many steps; 0: by time alone    */
    double interval;                 /* seconds, for the daemon record                           */
    const char *kernel;              /* NULL: the widest                                         */
    int can_save;                    /* a state file was named                                   */
    int shm;                        /* shm are offered: WELCOME says so                       */
    mscope_parallel parallel;        /* threads for the steps of every table; run NULL: none     */
    int prefault;                    /* write a new table once, so that no step meets a missing page */
    const char *map_dir;             /* where tables above map_above bytes live as files; NULL: nowhere */
    uint64_t map_above;
    char realtime[192];              /* what --realtime did, for the daemon record               */
} mscope_engine_config;

typedef struct mscope_session {
    uint64_t id;                     /* 0: free slot                                             */
    uint64_t next;                   /* first sequence number not done with                      */
    uint64_t heard_ns;
    int left;                        /* said BYE                                                 */
} mscope_session;

typedef struct mscope_meter {        /* refusals since the last alert that told of them          */
    uint64_t count, told_ns;
    mscope_refusal last;
} mscope_meter;

typedef struct mscope_map_file {     /* a table's memory that is a file, mapped.h                */
    int fd;                          /* 0: it is not                                             */
    size_t len;                      /* of the mapping, head included                            */
    void *base;
} mscope_map_file;

typedef struct mscope_shadow {       /* the daemon's copy of one trainer's table                 */
    int used;
    mscope_hello hello;
    uint64_t session;
    uint32_t handle;
    int attached;
    uint64_t heard_ns;               /* last message of its owner about it, or when it was restored */
    /* memory, mapped once: the core's block, then scratch for decoded parts */
    void *mem;
    size_t mem_len;
    mscope_map_file map;
    mscope_table *core;
    uint32_t *rows, *counts;         /* capacity each                                            */
    void *values, *momenta;          /* chunk rows of theta or g, and of m                       */
    uint32_t chunk;
    /* truth */
    int exact;                       /* no SYNC is owed; published as exact unless hello.narrow  */
    uint32_t healed;                 /* rows 0 .. healed-1 were synced since the last loss       */
    uint32_t referenced;             /* rows 0 .. referenced-1 have their reference              */
    mscope_step last;                /* schedule of the last STEP                                */
    int stepped, probed;             /* a STEP, a PROBE was taken                                */
    int shm;                        /* how the last of them came: 0 none, 1 ZeroMQ, 2 shared memory */
    uint64_t lost, refused, syncs;
    /* publication */
    uint64_t published;              /* step of the last regular record                          */
    int changed;                     /* exact or attached moved since                            */
    int overflowed;                  /* V was not finite when last published                     */
    int due;                         /* in the publication under way: enum mscope_due            */
    int passing;                     /* a resum goes over its rows in slices                     */
    double fisher[MSCOPE_BANDS], fisher_updates[MSCOPE_BANDS];
    mscope_meter meter;
} mscope_shadow;

typedef struct mscope_shm_map {         /* a trainer's ring, mapped for reading; shm.c fills it    */
    int used, fd;                    /* the connection it came over                              */
    uint64_t session, id, since_ns;
    const uint8_t *at;               /* NULL: no offer was taken yet. The trainer writes there whenever it likes */
    size_t len;
} mscope_shm_map;

typedef struct mscope_counters {
    uint64_t messages_in, bytes_in, steps_applied, messages_refused, messages_duplicate, lost_steps, state_saves;
} mscope_counters;

typedef struct mscope_extreme {      /* the largest of some times, of this window and ever      */
    uint64_t window_ns, ever_ns;
} mscope_extreme;

typedef struct mscope_timing {       /* the daemon about itself, for its record                  */
    mscope_extreme late, pause, message, slice;
    uint64_t publish_ns;             /* publication work of this window                          */
} mscope_timing;

typedef struct mscope_outside {      /* what other threads count, read for the daemon record     */
    _Atomic uint64_t records_out, replay_requests, replay_refused, unsent;
} mscope_outside;

typedef struct mscope_engine {
    mscope_engine_config cfg;
    mscope_ring *ring;
    mscope_outside *outside;
    uint64_t epoch, start_ns;
    mscope_session sessions[MSCOPE_SESSIONS];
    mscope_shm_map shm[MSCOPE_SHM_PLACES];
    mscope_shadow *shadows;          /* cfg.max_tables                                           */
    uint64_t bytes;                  /* mapped for tables                                        */
    mscope_counters count;
    mscope_meter meter;
    mscope_timing timing;
    int publishing;                  /* a publication is under way: some records are still due   */
    uint64_t deadline_ns;            /* its deadline, 0: none                                    */
    int64_t resum_ns;                /* time that slices of resums may still take; <= 0: wait for the next publication */
    uint32_t slice_rows;             /* rows of a slice, so that it takes MSCOPE_SLICE_NS        */
    uint32_t turn;                   /* the table whose slice was last                           */
    int slice_full;                  /* it did not end at the table's last row                   */
    int save_wanted;
} mscope_engine;

typedef struct mscope_part {
    const uint8_t *at;
    size_t len;
} mscope_part;

typedef struct mscope_reply {
    mscope_header header;
    uint8_t body[MSCOPE_HELLO_MAX];
    size_t body_len;                 /* 0: no body part                                         */
} mscope_reply;

typedef struct mscope_answer {
    unsigned n;
    mscope_reply at[2];              /* an ERROR for a message that is done with has an ACK behind it */
} mscope_answer;

/* mscope_engine_init - shadows[cfg->max_tables] zeroed, the caller's, as are ring and outside */
void mscope_engine_init(mscope_engine *e, const mscope_engine_config *cfg, mscope_shadow *shadows, mscope_ring *ring,
                        mscope_outside *outside, uint64_t epoch, uint64_t now_ns);
/* mscope_engine_fini - let go of every table; those in files are left in order. 0, or MSCOPE_EIO, logged */
int mscope_engine_fini(mscope_engine *e);

/* mscope_engine_message - one multipart message in, none to two answers out
 * Shape    parts[n]; n counts every part of the message, of which min(n, MSCOPE_MESSAGE_PARTS) are given
 * Cost     no allocation but for a HELLO that creates a table                                                  */
void mscope_engine_message(mscope_engine *e, const mscope_part *parts, size_t n, uint64_t now_ns,
                           mscope_answer *out);

/* mscope_engine_slept - the whole daemon stood still for so long (SIGSTOP, suspend): nobody was silent meanwhile */
void mscope_engine_slept(mscope_engine *e, uint64_t ns);

enum mscope_publish { MSCOPE_PUBLISH_CHANGED, MSCOPE_PUBLISH_MOVED, MSCOPE_PUBLISH_ALL };
enum mscope_due { MSCOPE_DUE_NOT, MSCOPE_DUE_REPEAT, MSCOPE_DUE_REGULAR };

/* mscope_publish_begin - open a publication: the daemon's record, and those of tables whose truth or owner changed;
 * MOVED: regular records of tables with new steps too; ALL: every table (SIGHUP, the end). One under way grows.
 * deadline_ns: when its last record should be out, for the lateness; 0: there is none                          */
void mscope_publish_begin(mscope_engine *e, uint64_t now_ns, uint64_t deadline_ns, enum mscope_publish what);
/* mscope_publish_slice - the records of one due table, or at the end the daemon's; messages may come between slices
 * Returns  whether more is due                                                                                 */
int mscope_publish_slice(mscope_engine *e, uint64_t now_ns);
/* mscope_publish_table - records of one table now: one of few rows is resummed at once, of a larger one the totals as
 * streamed go out with their bounds, and a resum in slices is asked for                                         */
void mscope_publish_table(mscope_engine *e, mscope_shadow *s, int regular);

#define MSCOPE_AT_ONCE 2048          /* rows that are resummed in one go                         */
#define MSCOPE_SLICE_NS 60000        /* of work between two looks at the sockets                 */
#define MSCOPE_RESUM_NS 4000000      /* of resums in slices, for each publication                */

/* mscope_resum_wanted - is a slice of a resum to be done, messages apart? */
int mscope_resum_wanted(const mscope_engine *e);
/* mscope_resum_slice - do one; the caller measures what it took and says so to mscope_resum_took               */
void mscope_resum_slice(mscope_engine *e);
void mscope_resum_took(mscope_engine *e, uint64_t ns);
/* mscope_engine_publish - a publication from begin to end with every table resummed, without a look at anything else */
void mscope_engine_publish(mscope_engine *e, uint64_t now_ns, enum mscope_publish what);

static inline void mscope_extreme_note(mscope_extreme *x, uint64_t ns)
{
    x->window_ns = ns > x->window_ns ? ns : x->window_ns;
    x->ever_ns = ns > x->ever_ns ? ns : x->ever_ns;
}

/* mscope_engine_alert - an alert record and a log line; s NULL: about the daemon */
void mscope_engine_alert(mscope_engine *e, const mscope_shadow *s, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* -- between engine.c, tables.c, steps.c, records.c and store.c -------------------------------- */

/* mscope_shadow_open - map and initialise a table of this shape into a free *s at hello->step
 * Errors   MSCOPE_EINVAL, MSCOPE_ENOMEM, MSCOPE_ENOTSUP with *why filled; *s untouched                         */
MSCOPE_MUST_CHECK int mscope_shadow_open(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello,
                                         uint64_t credit, mscope_refusal *why);
void mscope_shadow_close(mscope_engine *e, mscope_shadow *s);
/* mscope_shadow_adopt - s->core and the parts of its memory from a block that an earlier daemon left, see mapped.h */
MSCOPE_MUST_CHECK int mscope_shadow_adopt(mscope_engine *e, mscope_shadow *s, const mscope_hello *hello, void *mem,
                                          size_t mem_len);
/* The table a session attached under this handle, or NULL. */
mscope_shadow *mscope_shadow_find(mscope_engine *e, uint64_t session, uint32_t handle);
mscope_session *mscope_session_find(mscope_engine *e, uint64_t id);
/* mscope_session_silent - has it left, or not been heard for the takeover time? ses NULL: yes */
int mscope_session_silent(const mscope_engine *e, const mscope_session *ses, uint64_t now_ns);

/* mscope_hello_apply - find, make, keep or replace the table a HELLO names; 0 and *out, or a refusal */
MSCOPE_MUST_CHECK int mscope_hello_apply(mscope_engine *e, const mscope_header *h, const mscope_hello *hello,
                                         uint64_t now_ns, mscope_shadow **out, mscope_refusal *why);
void mscope_shadow_detach(mscope_engine *e, mscope_shadow *s);

/* mscope_shadow_inexact - note lost steps; the shadow is wrong until SYNC heals it */
void mscope_shadow_inexact(mscope_engine *e, mscope_shadow *s, uint64_t lost);

/* One message of that kind for table s; parts after the header. 0, or a refusal and the table as it was. */
MSCOPE_MUST_CHECK int mscope_step_apply(mscope_engine *e, mscope_shadow *s, const mscope_header *h,
                                        const mscope_part *f, size_t n, mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_probe_apply(mscope_shadow *s, const mscope_header *h, const mscope_part *f, size_t n,
                                         mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_reference_apply(mscope_shadow *s, const mscope_header *h, const mscope_part *f,
                                             size_t n, mscope_refusal *why);
MSCOPE_MUST_CHECK int mscope_sync_apply(mscope_engine *e, mscope_shadow *s, const mscope_header *h,
                                        const mscope_part *f, size_t n, mscope_refusal *why);

/* mscope_shadow_publish - records of one table, of its totals as they stand; regular ones also close its window */
void mscope_shadow_publish(mscope_engine *e, mscope_shadow *s, int regular);
/* mscope_daemon_record - the daemon about itself; closes the window of its timing */
void mscope_daemon_record(mscope_engine *e, uint64_t now_ns);
/* mscope_shadow_moved - are there steps since the last regular record? */
int mscope_shadow_moved(const mscope_shadow *s);
/* mscope_shadow_publish_last - what is still unpublished, before the table goes or starts over */
void mscope_shadow_publish_last(mscope_engine *e, mscope_shadow *s);

#endif
