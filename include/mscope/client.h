/* client.h - attach a training loop to the daemon, or listen to it
 *
 * The client never blocks the trainer, never fails it and never touches its numbers. When the daemon is absent, stopped
 * or slow, steps are dropped and counted, and the daemon's copy of the table (its shadow) is healed later: the client
 * sends the trainer's own rows (SYNC). protocol/README.md has the messages.
 *
 * Caveats
 *   fork      A client belongs to the process that opened it. In a forked child every call returns MSCOPE_EINVAL and
 *             close does nothing; the child opens a client of its own. A subscriber has no such check: do not use it
 *             in a child.
 *   threads   A client, like a subscriber, holds no lock: one thread at a time. Two clients in two threads are
 *             independent. Each client has one thread of libzmq for its socket.
 *   callbacks settle and read run on the caller's thread inside push, commit, reference, poll and flush. They must not
 *             call the client.
 *   exit      The library registers no exit handler. A process that ends without close ends at once, and what was not
 *             sent is lost; the daemon sees it as killed. Call close before main returns, or in a handler of atexit.
 *   signals   No function may be called in a signal handler. The library installs none, and its sockets raise no
 *             SIGPIPE. A signal ends the wait of poll and of mscope_subscriber_next early; flush goes on until its time
 *             is over.
 *   arrays    Rows, gradients, counts, look-ups, references and strings are copied before the call returns. theta, m
 *             and the contexts of settle and read stay in use until close. A slot is the client's until commit or
 *             abandon.
 *   death     When the daemon dies, steps collect up to buffer_bytes and are dropped after that. The client connects
 *             again by itself within about a second of the daemon's return, sends again what was not acknowledged, and
 *             heals the rest. Without theta and m, or read, it cannot heal: stats.exact then stays 0.
 *   memory    A client keeps unacknowledged messages (buffer_bytes), every reference given (a restarted daemon needs it
 *             again), a ring of shared memory where it is used (eight steps of the largest table; at least 1 MiB, at
 *             most 64 MiB or buffer_bytes) and 33 bits for each row of a table that mscope_client_push_lookups
 *             serves. */
#ifndef MSCOPE_CLIENT_H
#define MSCOPE_CLIENT_H

#include "core.h"
#include "wire.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mscope_client mscope_client;         /* one connection, any number of tables */
typedef struct mscope_subscriber mscope_subscriber;

/* How gradients travel. Everything else always goes through ZeroMQ. */
enum mscope_transport {
    MSCOPE_TRANSPORT_AUTO = 0,  /* $MOMENTSCOPE_TRANSPORT (auto, zmq, shm) decides. Without it: shared memory when the
                                 * daemon offers it, ZeroMQ when it does not or the ring is full       */
    MSCOPE_TRANSPORT_ZMQ = 1,   /* never shared memory                                                 */
    MSCOPE_TRANSPORT_SHM = 2    /* only shared memory: steps wait in the ring until a daemon maps it; a step
                                 * without room is dropped and counted. last_error and a line on stderr say why */
};

typedef struct mscope_client_options {
    const char *endpoint;      /* NULL: $MOMENTSCOPE_INGEST, else the daemon's default ipc endpoint    */
    const char *name;          /* of this trainer, for the daemon's log; NULL: program name and pid    */
    uint64_t buffer_bytes;     /* most bytes held unacknowledged, 4096 or more; 0: 64 MiB              */
    uint64_t sync_bytes;       /* most bytes of healing sent with a push, and no more than half of the buffer holds;
                                * 0: what 0.25 ms or 1/200 of a step allow, 64 KiB to 1 MiB            */
    int block_ms;              /* 0: never wait, drop instead; > 0: a push waits at most this long for room */
    int quiet;                 /* 0: one line on stderr for the first error of each field, for a daemon that has not
                                * answered for 10 s, and for steps that no daemon took before close    */
    enum mscope_transport transport;
} mscope_client_options;

/* What a table is, and where its rows are. With theta and m, or with read, the client heals the daemon's copy by
 * itself; it uses them only inside push, commit, reference, poll and flush, and takes them for rows as of the last
 * pushed step. */
typedef struct mscope_attach_info {
    const char *table;         /* name: letters, digits, _ . -; at most 63 bytes                       */
    uint32_t rows, dim;
    uint32_t capacity;         /* most entries in one step                                             */
    enum mscope_state state;
    enum mscope_form form;
    int nesterov;              /* the momentum is Nesterov's                                           */
    int nll;                   /* the loss is a mean negative log likelihood: Fisher curvature is allowed */
    uint32_t acf_rows;         /* rows of each band sampled for autocorrelations, at most 64           */
    uint64_t step;             /* completed steps at attach, at most 2^53 - 1                          */
    const char *reference;     /* words for theta*; NULL or "": no reference will be sent              */
    const void *theta, *m;     /* [rows][dim], element types of state; NULL: the client cannot heal    */
    /* Called before theta and m of rows first .. first+n-1 are read, so that a lazy trainer can settle them; may be
     * NULL. Settling earlier than without a daemon rounds float rows once more: if weights must not differ by a bit,
     * use read. */
    void (*settle)(void *ctx, uint32_t first, uint32_t n);
    void *settle_ctx;
    /* Instead of theta and m, for trainers without such arrays: copy rows first .. first+n-1 into theta[n][dim] and
     * m[n][dim], element types of state. Returns 0, or a negative value: not now; a later push asks again. */
    int (*read)(void *ctx, uint32_t first, uint32_t n, void *theta, void *m);
    void *read_ctx;
    int fresh;                 /* m is zero, and theta is zero or irrelevant: no SYNC is needed        */
    int narrow;                /* the trainer keeps its rows in a narrower type than state (half, bfloat16): the daemon
                                * never calls its copy exact; stats.exact says only that all rows were sent */
    /* Forms READ and FROZEN: the daemon is told norms of rows and follows no rows (mscope/read.h). dim is
     * MSCOPE_READ_DIM, state MSCOPE_STATE_F64; theta[n][2] is (root of the mean second moment, 0), m[n][2] (|m|, 0) */
    const char *optimizer;     /* its name, at most 63 bytes; NULL: ""                                 */
    uint32_t width;            /* coordinates of a row in the trainer                                  */
} mscope_attach_info;

typedef struct mscope_client_stats {
    uint64_t steps_sent;       /* sent, or buffered to be sent                                         */
    uint64_t steps_dropped;    /* refused, skipped, without room, or of a table that the daemon refuses */
    uint64_t messages_resent, messages_unacked, bytes_unacked;
    uint64_t syncs;            /* times that every row of a table was queued for healing               */
    uint64_t errors, reconnects;
    uint64_t epoch;            /* of the daemon, 0 before the first WELCOME                            */
    uint64_t steps_shm;        /* those of steps_sent that went into shared memory                     */
    int connected, exact;      /* the daemon has welcomed all tables; all its copies are exact         */
    int shm;                   /* 1: the daemon has mapped the ring, gradients go through it. 0: ZeroMQ */
    mscope_refusal last_error; /* code 0: none                                                         */
} mscope_client_stats;

/* mscope_client_fault - field, value and range of the last refusal on this thread
 *
 * open, subscribe and every call below fill it when they return MSCOPE_EINVAL, EINDEX, ESTATE, EBUSY, ENOTSUP, EIO or
 * ENOMEM; other results leave it as it was.  Threads  each has its own                                */
MSCOPE_API void mscope_client_fault(mscope_refusal *out);

/* mscope_client_open - start to connect in the background; succeeds when the daemon is absent
 * Owns     *out is the caller's; end it with mscope_client_close. opt (NULL: all zero) is copied
 * Errors   MSCOPE_EINVAL endpoint or option;  MSCOPE_ENOMEM;  MSCOPE_EIO no ZeroMQ context, too few descriptors or
 *          threads for one, or the daemon there is another user's; *out untouched */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_open(mscope_client **out, const mscope_client_options *opt);

/* mscope_client_attach - declare a table
 * Owns     theta, m and the callbacks' contexts stay the trainer's, and must live until mscope_client_close
 * Returns  the table's handle, 0 or more
 * Errors   MSCOPE_EINVAL a field of info;  MSCOPE_EBUSY this client has a table of that name;  MSCOPE_ENOMEM */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_attach(mscope_client *c, const mscope_attach_info *info);

/* mscope_client_push - one finished step of one table: rows[n] and their gradients, copied before return
 *
 * Call it after the optimizer has moved the weights of that step: healing then reads theta and m as of its end. Every
 * call is one step of the table's clock, whatever it returns; the daemon never sees the gradients of a step that was
 * refused or dropped. value_type: how grads is stored. counts: as in mscope_table_apply, or NULL.
 * Shape    rows[n], grads[n][dim], counts[n]; n <= capacity
 * Returns  0 sent or buffered; 1 dropped (counted)
 * Errors   MSCOPE_EINVAL handle (no step counted), n, value_type, a field of step, counts;  MSCOPE_EINDEX a row
 * Cost     one copy of the gradients; no system call that waits, unless block_ms allows it            */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_push(mscope_client *c, int table, const mscope_step *step,
                                                    const uint32_t *rows, const void *grads,
                                                    enum mscope_value value_type, const uint32_t *counts, size_t n);
/* mscope_client_push64 - as push, with 64-bit indices (PyTorch's int64) */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_push64(mscope_client *c, int table, const mscope_step *step,
                                                      const int64_t *rows, const void *grads,
                                                      enum mscope_value value_type, const uint32_t *counts, size_t n);
/* mscope_client_push_dense - as push, of a dense gradient grads[rows][dim]: rows with mask[i] != 0 are active, with
 * mask NULL all rows */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_push_dense(mscope_client *c, int table, const mscope_step *step,
                                                          const void *grads, enum mscope_value value_type,
                                                          const uint8_t *mask);

/* mscope_client_push_lookups - as push, of a dense gradient whose active rows are those looked up
 *
 * Each distinct row of lookups whose gradient is not 0 is one entry, in ascending order. Its count is the number of
 * times it occurs in lookups. A row whose gradient is 0 (masked by a hook, say) was not active.
 * Shape    lookups[n], any order, with repeats; grads[rows][dim], of which only those rows are read
 * Returns  as push;  Errors  as push, and MSCOPE_EINVAL lookups, n
 * Cost     as push; rows/8 bytes are cleared and read; memory of 33 bits a row from the first such call on */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_push_lookups(mscope_client *c, int table, const mscope_step *step,
                                                            const int64_t *lookups, size_t n, const void *grads,
                                                            enum mscope_value value_type);

/* mscope_client_reserve, _commit, _abandon - a step whose entries the trainer writes where the daemon will read them
 *
 * reserve hands out room for n rows, their values [n][dim] of value_type and, if counts is not 0, their counts. The
 * room is in the ring of shared memory, or in memory to be sent where there is none. Fill it, then commit it as one
 * finished step, or abandon it, which is no step. There is one slot at a time; other pushes meanwhile go through
 * ZeroMQ. Do not touch the slot after commit: the daemon reads it when it comes to it.
 * Owns     the slot is the client's, and valid until commit, abandon or close
 * Returns  reserve 0, or 1 no room now (no step: push or skip instead);  commit as push
 * Errors   reserve MSCOPE_EINVAL handle, n, value_type, out;  MSCOPE_ESTATE a slot is out already;  commit as push, and
 *          MSCOPE_ESTATE no slot is out
 * Cost     no copy of the gradients through shared memory                                             */
typedef struct mscope_slot {
    uint32_t *rows;
    void *values;              /* aligned to 64 bytes in shared memory, to 8 otherwise                 */
    uint32_t *counts;          /* NULL unless asked for                                                */
    size_t n;
} mscope_slot;
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_reserve(mscope_client *c, int table, size_t n,
                                                       enum mscope_value value_type, int counts, mscope_slot *out);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_commit(mscope_client *c, const mscope_step *step);
MSCOPE_API void mscope_client_abandon(mscope_client *c);

/* mscope_client_skip - one step whose gradients the caller does not have: counted as dropped, healed by SYNC
 * Returns  1;  Errors  MSCOPE_EINVAL handle                                                           */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_skip(mscope_client *c, int table);

/* mscope_client_probe - curvature products on the batch of the step that will be pushed next; no step itself
 *
 *   hm = (g(theta + delta m) - g(theta))/delta
 *
 * Shape    rows[n], hm[n][dim]
 * Returns  0 sent or buffered; 1 left out: no room, n is 0, or a step before it was dropped
 * Errors   MSCOPE_EINVAL handle, delta, n, value_type;  MSCOPE_EINDEX a row                           */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_probe(mscope_client *c, int table, double delta, const int64_t *rows,
                                                     const void *hm, enum mscope_value value_type, size_t n);

/* mscope_client_direction - products with one direction v over everything that the trainer moves (mscope_direction in
 * wire.h), for how near eta is to its largest stable value. Call it after the push of the step whose batch it is of
 *
 * table    a table whose step was just pushed: its eta, eps and batch are those of the products; the daemon keeps
 *          their means under its name, so it is the same one in every call
 * Shape    row[n]: what rows of watched tables add to curvature and noise; rows that add nothing may be left out
 * Owns     nothing; d and row are copied
 * Returns  0 sent or buffered; 1 left out: no room, or that step was dropped
 * Errors   MSCOPE_EINVAL, MSCOPE_ENONFINITE a handle, a field of d, a value;  MSCOPE_EINDEX a row
 * Cost     O(n)                                                                                       */
typedef struct mscope_direction_row {
    uint32_t table, row;       /* handle and row                                                       */
    float curvature;           /* <v_row, (H_b v)_row>                                                 */
    float noise;               /* |((H_a - H_b) v)_row|^2/4                                            */
} mscope_direction_row;
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_direction(mscope_client *c, int table, const mscope_direction *d,
                                                         const mscope_direction_row *row, size_t n);

/* mscope_client_reference - theta* of rows first .. first+n-1; sent in order with the steps, at the present step
 *
 * Attach must have announced a reference in words. A copy is kept, for a daemon that restarts.
 * Errors   MSCOPE_EINVAL handle, ref, n, value_type, none announced;  MSCOPE_EINDEX a row;  MSCOPE_ENOMEM */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_reference(mscope_client *c, int table, uint32_t first, uint32_t n,
                                                         const void *ref, enum mscope_value value_type);

/* mscope_client_labels - what rows first .. first+n-1 are called, so that records and alerts name them by it
 *
 * A copy is kept, for a daemon that restarts. Labels of the same rows given again replace the older ones.
 * Shape    text: n labels of at most 63 bytes, each ended by a NUL, len bytes in all, at most 1 MiB; "": no label
 * Errors   MSCOPE_EINVAL handle, n, text (mscope_labels_check in wire.h; at most half of buffer_bytes);
 *          MSCOPE_EINDEX a row;  MSCOPE_ENOMEM
 * Cost     one copy; sent with the steps to come, as healing is                                       */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_labels(mscope_client *c, int table, uint32_t first, uint32_t n,
                                                      const char *text, size_t len);

/* mscope_client_forward - a message as another trainer sent it, for replaying recordings
 *
 * STEP, PROBE, REFERENCE, SYNC, NOTE and LABELS are taken; DIRECTION has a call of its own.
 * The header's session, seq and table become this client's. Everything else, and the n parts behind it, go out as they
 * are; the daemon judges the contents. Attach such a table without theta, m and read, and do not push to it.
 * Shape    part[n], len[n], n <= 4; copied before return
 * Returns  0 sent or buffered; 1 no room even after block_ms: the message was not taken, call again
 * Errors   MSCOPE_EINVAL handle, kind, n;  MSCOPE_ENOMEM                                              */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_forward(mscope_client *c, int table, const mscope_header *header,
                                                       const uint8_t *const *part, const size_t *len, size_t n);

/* mscope_client_resync - send every row again, because the trainer changed rows otherwise than by a step
 * Errors   MSCOPE_EINVAL handle;  MSCOPE_ENOTSUP attached without theta and m, or read                */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_resync(mscope_client *c, int table);

/* mscope_client_save - ask the daemon to write its state file now.  Returns  0, or 1 no memory for the request */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_save(mscope_client *c);

/* mscope_client_note - say something about a table in words, such as a change of its rate
 * The daemon publishes it as the alert `note` and writes it to its log; 64 of a table between two publications.
 * Shape    text: 1 to 191 bytes of UTF-8 without control characters; copied
 * Returns  0 sent or buffered; 1 left out, because there is no room
 * Errors   MSCOPE_EINVAL a handle, the text                                                            */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_note(mscope_client *c, int table, const char *text);

/* mscope_client_poll - take in answers, resend, reconnect; wait at most wait_ms for something to do
 * Every push does the same without waiting, so call it when steps are far apart.  Returns  0 or MSCOPE_EINVAL */
MSCOPE_API int mscope_client_poll(mscope_client *c, int wait_ms);

/* mscope_client_flush - wait at most wait_ms until everything is acknowledged and every copy of the daemon's is exact
 * Returns  0;  MSCOPE_EAGAIN time ran out, or a copy is inexact and this client cannot heal it        */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_client_flush(mscope_client *c, int wait_ms);

MSCOPE_API void mscope_client_stats_get(const mscope_client *c, mscope_client_stats *out);

/* mscope_client_close - say BYE, wait at most wait_ms until everything is acknowledged, free the client
 * In the last 0.1 s (or half of a shorter wait) it attaches no table any more: a name taken without time for BYE would
 * be held for the daemon's takeover time. NULL is fine. In a forked child it does nothing. */
MSCOPE_API void mscope_client_close(mscope_client *c, int wait_ms);

/* mscope_version - MSCOPE_VERSION of the library, static text.  Threads  any */
MSCOPE_API const char *mscope_version(void);

/* mscope_struct_size - sizeof of a struct by its name, for bindings that declare the struct again
 *
 * A binding compares the sizes once, on loading. Names: "mscope_client_options", "mscope_attach_info",
 * "mscope_client_stats", "mscope_step", "mscope_refusal", "mscope_slot", "mscope_table_config", "mscope_direction",
 * "mscope_direction_row", "mscope_checked", "mscope_band", "mscope_window",
 * "mscope_fade", "mscope_curvature", "mscope_subscriber_stats", "mscope_telemetry", and of
 * probe.h "mscope_probe_span", "mscope_probe_stats".
 * Returns  bytes, or 0: not one of these.  Threads  any                                               */
MSCOPE_API size_t mscope_struct_size(const char *name);

/* -- listening -------------------------------------------------------------------------------------- */

/* mscope_subscribe - listen to topics that begin with prefix (NULL or "": every topic)
 *
 * endpoint: of telemetry; NULL: $MOMENTSCOPE_TELEMETRY, else the default. replay: where missed records are asked for
 * again, so that a topic has no hole; NULL: $MOMENTSCOPE_REPLAY or the default if endpoint is NULL too, else none; "":
 * none.
 * Owns     *out is the caller's; end it with mscope_subscriber_close
 * Errors   MSCOPE_EINVAL an address;  MSCOPE_ENOMEM;  MSCOPE_EIO as mscope_client_open                  */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_subscribe(mscope_subscriber **out, const char *endpoint, const char *replay,
                                                  const char *prefix);

/* mscope_subscriber_past - from now on a topic that is new begins with all that replay still has of it, topic by topic;
 * without a replay address it changes nothing */
MSCOPE_API void mscope_subscriber_past(mscope_subscriber *s);

typedef struct mscope_telemetry {
    char topic[MSCOPE_TOPIC_MAX];
    uint64_t seq;
    mscope_record record;
} mscope_telemetry;

/* mscope_subscriber_next - the next record, waiting at most wait_ms; a record that the daemon repeats for late joiners
 * is given once
 * Returns  0;  MSCOPE_EAGAIN none came, or a signal;  MSCOPE_EPROTO a malformed record (counted, passed over);
 *          MSCOPE_EIO a process of another user answered there, and was disconnected: mscope_client_fault says whose */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_subscriber_next(mscope_subscriber *s, mscope_telemetry *out, int wait_ms);

typedef struct mscope_subscriber_stats {
    uint64_t received, lost;   /* from the first record seen of a topic to the last: received + lost = sent */
    uint64_t replayed;         /* those of received that came by replay                                */
    uint64_t malformed, repeats;
    uint64_t epochs;           /* daemons seen; each start of a daemon is a new epoch                  */
} mscope_subscriber_stats;
MSCOPE_API void mscope_subscriber_stats_get(const mscope_subscriber *s, mscope_subscriber_stats *out);
MSCOPE_API void mscope_subscriber_close(mscope_subscriber *s);

#ifdef __cplusplus
}
#endif
#endif
