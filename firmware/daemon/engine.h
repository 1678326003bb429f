/* engine.h - the picture that all of the engine shares: sessions, tables, counters; without sockets, clock or heap
 *
 * One thread calls everything below. A message comes in as parts, answers go out as headers and bodies, records go
 * into the ring. Time is handed in. Memory for a table is mapped when a HELLO creates it; nothing else is.
 *
 * From the top: messages.c (sequence numbers, dispatch), tables.c (HELLO), steps.c over entries.c (STEP, PROBE,
 * REFERENCE, SYNC), reads.c (STEP of an optimizer that is read), directions.c over stability.c (DIRECTION), slices.c
 * (publication in pieces), shadow.c (a table's memory and owner), records.c (core to telemetry), sessions.c. Each has a
 * header of its own and calls only files that come after it here. */
#ifndef MSCOPE_DAEMON_ENGINE_H
#define MSCOPE_DAEMON_ENGINE_H

#include "mscope/core.h"
#include "mscope/wire.h"
#include "agreement.h"
#include "climb.h"
#include "growth.h"
#include "ring.h"
#include "stability.h"

#define MSCOPE_SESSIONS 256
#define MSCOPE_SHM_PLACES 64
#define MSCOPE_MESSAGE_PARTS 8              /* most parts of a message that are looked at              */

typedef struct mscope_engine_config {
    uint32_t max_tables, history;
    uint64_t max_bytes;              /* memory for all tables                                    */
    uint64_t max_part;               /* bytes of the largest part that a table may need          */
    uint64_t credit_messages, credit_bytes;
    uint64_t takeover_ns;
    uint64_t interval_steps;         /* publish a table every so many steps; 0: by time alone    */
    double interval;                 /* seconds between publications, for the daemon record      */
    const char *kernel;              /* NULL: the widest usable                                  */
    int can_save;                    /* there is a state file                                    */
    int shm;                         /* shared memory is offered: WELCOME says so                */
    mscope_parallel parallel;        /* threads for the steps of every table; run NULL: none     */
    int prefault;                    /* write a new table once, so that no step meets a missing page */
    const char *map_dir;             /* where tables above map_above bytes are kept as files; NULL: nowhere */
    uint64_t map_above;
    char realtime[192];              /* what --realtime achieved, for the daemon record          */
} mscope_engine_config;

typedef struct mscope_session {
    uint64_t id;                     /* 0: free slot                                             */
    uint64_t next;                   /* first sequence number not consumed                       */
    uint64_t heard_ns;
    int left;                        /* said BYE                                                 */
    int gone;                        /* its connection has closed, and it was not heard since    */
} mscope_session;

typedef struct mscope_meter {        /* refusals since the last alert about them                 */
    uint64_t count, told_ns;
    mscope_refusal last;
} mscope_meter;

typedef struct mscope_map_file {     /* the file behind a table's memory, see mapped.h           */
    int fd;                          /* 0: there is no file                                      */
    size_t len;                      /* bytes of the mapping, head included                      */
    void *base;
} mscope_map_file;

typedef struct mscope_labels mscope_labels;      /* labels.c */

enum mscope_due { MSCOPE_DUE_NOT, MSCOPE_DUE_REPEAT, MSCOPE_DUE_REGULAR };

typedef struct mscope_shares {       /* of the bands of one table, in the sums of mscope_stability.whole */
    double curvature[MSCOPE_BANDS], noise[MSCOPE_BANDS];
} mscope_shares;

typedef struct mscope_top {          /* row with the largest |m|^2 among the last updates of a band */
    uint32_t row;
    double v;                        /* its |m|^2, EMA form; 0: no update was read yet           */
} mscope_top;

typedef struct mscope_moved {        /* updates of a band in this window, of an optimizer that is read */
    double sum, updates;             /* of |theta after - theta before|^2                        */
} mscope_moved;

typedef struct mscope_shadow {       /* the daemon's copy of one trainer's table                 */
    int used;
    mscope_hello hello;
    uint64_t session;
    uint32_t handle;
    int attached;
    uint64_t heard_ns;               /* time of the owner's last message about it, or of the restore */
    /* memory, one mapping: the core's block, then scratch for decoded parts */
    void *mem;
    size_t mem_len;
    mscope_map_file map;
    mscope_table *core;
    uint32_t history;                /* that the core was made with                              */
    uint32_t *rows, *counts;         /* capacity of each                                         */
    void *values, *momenta;          /* chunk rows of theta or g, and chunk rows of m            */
    uint32_t chunk;
    /* truth */
    int away;                        /* the session that holds it is gone                        */
    int exact;                       /* no SYNC is needed; published as exact unless hello.narrow */
    int other_m;                     /* momenta may be other than the trainer's, until SYNC       */
    uint64_t doubted;                /* step at which they last became so                        */
    uint32_t healed;                 /* rows 0 .. healed-1 were synced since the last loss       */
    uint32_t referenced;             /* rows 0 .. referenced-1 have their reference              */
    mscope_step last;                /* schedule of the last STEP                                */
    int stepped, probed;             /* a STEP, a PROBE was applied                              */
    int unprobed;                    /* the last PROBE was passed over: the momentum was not the trainer's */
    int shm;                         /* how the last STEP or PROBE came: 0 none yet, 1 ZeroMQ, 2 shared memory */
    uint64_t refused_step;           /* the last STEP that was refused: above the table's steps, the trainer is ahead */
    int not_finite;                  /* it was refused because its numbers are not finite        */
    uint64_t lost, refused, syncs;
    /* publication */
    char before[MSCOPE_NAME_MAX + 1];   /* table dropped from this place, unless the publisher knows; else "" */
    uint64_t published;              /* step of the last regular record                          */
    int window_over;                 /* what the next step adds belongs to a new window          */
    int changed;                     /* exact or attached changed since the last record          */
    /* readings */
    mscope_growth growth[MSCOPE_BANDS], top_growth[MSCOPE_BANDS];
    mscope_top top[MSCOPE_BANDS];
    mscope_climb climb;
    mscope_agree_sums agreement[MSCOPE_BANDS];
    mscope_moved moved[MSCOPE_BANDS];
    /* stability */
    char covered[MSCOPE_NAME_MAX + 1];  /* table whose `stability` covers this one; "": none      */
    mscope_shares shares[MSCOPE_DIRECTIONS];
    mscope_stability stability;      /* of messages that named this table                        */
    int overflowed;                  /* V was not finite in the last record                      */
    int due;                         /* enum mscope_due, in the publication under way            */
    uint64_t told_changed;           /* `published` + 1 when the last alert `changed` was given; 0: none */
    mscope_labels *labels;           /* newest chunk first; NULL: rows have none                 */
    uint64_t label_bytes;
    int passing;                     /* a resum in slices is under way                           */
    uint64_t passed;                 /* steps at the end of the last resum                       */
    double fisher[MSCOPE_BANDS], fisher_updates[MSCOPE_BANDS];
    uint32_t notes;                  /* since the last publication                               */
    mscope_meter meter;
} mscope_shadow;

typedef struct mscope_shm_map {      /* a trainer's ring, mapped for reading; shm.c fills it     */
    int used, fd;                    /* the connection over which it was offered                 */
    uint64_t session, id, since_ns;
    const uint8_t *at;               /* NULL: no offer was accepted yet. The trainer may write there at any time */
    size_t len;
} mscope_shm_map;

typedef struct mscope_counters {
    uint64_t messages_in, bytes_in, steps_applied, refused_messages, duplicate_messages, lost_steps, state_saves;
} mscope_counters;

typedef struct mscope_extreme {      /* the longest of some times: in this window, and ever      */
    uint64_t window_ns, ever_ns;
} mscope_extreme;

typedef struct mscope_timing {       /* the daemon about itself, for its record                  */
    mscope_extreme late, pause, message, slice;
    uint64_t publish_ns;             /* publication work in this window                          */
} mscope_timing;

typedef struct mscope_outside {      /* counted by other threads, read for the daemon record     */
    _Atomic uint64_t records_out, replay_requests, replay_refused, unsent;
} mscope_outside;

enum mscope_save_wish { MSCOPE_SAVE_NOT, MSCOPE_SAVE_TIMED, MSCOPE_SAVE_ASKED };

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
    uint32_t untold;                 /* tables whose `before` is set                             */
    int publishing;                  /* a publication is under way: some records are still due   */
    uint64_t deadline_ns;            /* its deadline; 0: none                                    */
    int64_t resum_ns;                /* time left for slices of resums; <= 0: none before the next publication */
    uint32_t slice_rows;             /* rows of a slice, chosen so that it takes MSCOPE_SLICE_NS */
    uint32_t turn;                   /* table of the last slice                                  */
    int slice_full;                  /* the last slice did not end at its table's last row       */
    enum mscope_save_wish save_wanted;
} mscope_engine;

typedef struct mscope_part {
    const uint8_t *at;
    size_t len;
} mscope_part;

/* -- engine.c ----------------------------------------------------------------------------------- */

/* mscope_engine_init - an engine without tables
 * Owns     nothing: shadows[cfg->max_tables] (zeroed), ring and outside are the caller's and outlive it       */
void mscope_engine_init(mscope_engine *e, const mscope_engine_config *cfg, mscope_shadow *shadows, mscope_ring *ring,
                        mscope_outside *outside, uint64_t epoch, uint64_t now_ns);
/* mscope_engine_fini - give every table's memory back; tables in files are left clean. 0, or MSCOPE_EIO, logged */
int mscope_engine_fini(mscope_engine *e);

/* mscope_engine_slept - the whole daemon stood still for ns (SIGSTOP, suspend): that time counts as no silence */
void mscope_engine_slept(mscope_engine *e, uint64_t ns);

static inline void mscope_extreme_note(mscope_extreme *x, uint64_t ns)
{
    x->window_ns = ns > x->window_ns ? ns : x->window_ns;
    x->ever_ns = ns > x->ever_ns ? ns : x->ever_ns;
}

#endif
