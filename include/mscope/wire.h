/* wire.h - bytes between trainer, daemon and subscriber; protocol/README.md is the specification
 *
 * Encoding and decoding, without allocation, sockets or state. Every encode call returns the bytes written, or a
 * negative code (MSCOPE_ENOMEM: they do not fit). Every decode call checks all it reads; on error it fills *why (may be
 * NULL) and leaves its output untouched.
 * Threads  any                                                                               */
#ifndef MSCOPE_WIRE_H
#define MSCOPE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSCOPE_VERSION "0.1.0"       /* of the program; the wire's version changes independently */
#define MSCOPE_WIRE_VERSION 1
#define MSCOPE_HEADER_LEN 64
#define MSCOPE_NAME_MAX 63           /* bytes in a table name: letters, digits, _ . -             */
#define MSCOPE_TEXT_MAX 191          /* bytes in any other string of the protocol                 */
#define MSCOPE_HELLO_MAX 1024        /* bytes of an encoded HELLO, WELCOME or ERROR body          */
#define MSCOPE_RECORD_MAX 2048       /* bytes of an encoded telemetry record                      */
#define MSCOPE_TOPIC_MAX 80          /* bytes of a topic, its 0 included                          */
#define MSCOPE_READ_DIM 2            /* of a table whose optimizer is only read: what stands for theta and for m */
#define MSCOPE_READ_COLUMNS 5        /* values in an entry of its STEP                            */
#define MSCOPE_READ_COS 2            /* cos of an entry: m <- beta m + eps g, so the norms tell it */
#define MSCOPE_READ_NOT (-1)         /* |u|: not measured. rms v: v <- (1 - eps2) v + w g^2, so |g| tells it; w is eps2,
                                        or 1 where that is 0 */
#define MSCOPE_STEP_MAX 9007199254740991ull   /* 2^53 - 1, the largest step number: exact in a double */
#define MSCOPE_LABEL_MAX 63          /* bytes in the label of a row                                */
#define MSCOPE_LABELS_PART 1048576   /* bytes in the part of LABELS                               */
#define MSCOPE_GAP_MAX UINT32_MAX    /* most steps that may be missing before a STEP or a SYNC    */

enum mscope_kind {
    MSCOPE_HELLO = 1, MSCOPE_STEP = 2, MSCOPE_PROBE = 3, MSCOPE_REFERENCE = 4, MSCOPE_SYNC = 5,
    MSCOPE_BYE = 6, MSCOPE_SAVE = 7, MSCOPE_DIRECTION = 8, MSCOPE_NOTE = 9, MSCOPE_LABELS = 10,
    MSCOPE_WELCOME = 64, MSCOPE_ACK = 65, MSCOPE_ERROR = 66
};

enum mscope_flag {
    MSCOPE_FLAG_COUNTS = 1,          /* STEP: a part of u32 occurrence counts follows the values */
    MSCOPE_FLAG_SCHEDULE = 2,        /* STEP: a part of three f64 follows: weight_decay, decoupled_decay, dampening */
    MSCOPE_FLAG_LAST = 4,            /* SYNC, REFERENCE: the chunk ends at the table's last row    */
    MSCOPE_FLAG_INEXACT = 8,         /* ACK: the daemon's rows of this table are not exact: send SYNC */
    MSCOPE_FLAG_SHM = 16             /* STEP, PROBE: the bodies lie in shared memory; one part says where */
};

/* The wire's 1 to 4 plus 16 (mscope_header_encode and _decode convert): none is the number of an enum mscope_state, so
 * one in the place of the other is refused. */
enum mscope_value { MSCOPE_NONE = 0, MSCOPE_F32 = 17, MSCOPE_F16 = 18, MSCOPE_BF16 = 19, MSCOPE_F64 = 20 };
enum mscope_index { MSCOPE_NOINDEX = 0, MSCOPE_U32 = 4, MSCOPE_U64 = 8 };

/* The 64-byte header of every ingest message; protocol/README.md 1.2 says what each field means for each kind. */
typedef struct mscope_header {
    uint8_t kind;
    uint16_t flags;
    uint64_t session, seq, step;
    double a, b;                     /* STEP: eta, eps.  PROBE: delta, 0                          */
    uint32_t table;                  /* handle that the client chose in HELLO                     */
    uint32_t count;                  /* STEP, PROBE, DIRECTION: entries.  SYNC, REFERENCE: rows.  ACK, WELCOME:
                                        credit_messages                                           */
    uint32_t extra;                  /* STEP: samples in the batch.  SYNC, REFERENCE: first row   */
    uint8_t index_type, value_type;  /* enum mscope_index, enum mscope_value                      */
} mscope_header;

/* mscope_header_encode - write the 64 bytes, checksum included; fields are not judged */
MSCOPE_API void mscope_header_encode(const mscope_header *h, uint8_t out[MSCOPE_HEADER_LEN]);

/* A refusal in words: which field had which value, what would have been accepted, and why. */
typedef struct mscope_refusal {
    int code;                        /* enum mscope_err                                           */
    char field[32], value[48], range[64], text[MSCOPE_TEXT_MAX + 1];
} mscope_refusal;

/* mscope_header_decode - read a header; length, magic, checksum, version and every field's range are checked
 *
 * Errors   MSCOPE_EPROTO, MSCOPE_EVERSION, MSCOPE_EINVAL, MSCOPE_ENONFINITE                                */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_header_decode(const uint8_t *bytes, size_t len, mscope_header *h,
                                                      mscope_refusal *why);

MSCOPE_API size_t mscope_value_size(unsigned value_type);          /* bytes of one value, 0 for none or unknown */

/* mscope_values_decode - n values off the wire to float32, or to float64 when to_f64
 *
 * Shape    in: n values of value_type, little-endian, any alignment; out: float or double[n]
 * Cost     O(n); NaN and infinities pass                                                                   */
MSCOPE_API void mscope_values_decode(const uint8_t *in, unsigned value_type, size_t n, void *out, int to_f64);
/* mscope_indices_decode - n indices off the wire to u32
 * Returns  n, or the position of the first index >= rows                                                   */
MSCOPE_API size_t mscope_indices_decode(const uint8_t *in, unsigned index_type, size_t n, uint32_t rows, uint32_t *out);

/* mscope_labels_check - is this the part of LABELS for n rows: n labels, each ended by a NUL, UTF-8 without control
 * characters and without marks that turn the direction of writing, so that any program may print them
 *
 * Errors   MSCOPE_EPROTO not n labels, or a part too long;  MSCOPE_EINVAL a label                           */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_labels_check(const char *text, size_t len, size_t n, mscope_refusal *why);

/* The bodies of HELLO, WELCOME and ERROR are MessagePack maps, and so are that of NOTE and the first of DIRECTION;
 * protocol/README.md 1.5. */
typedef struct mscope_hello {
    char table[MSCOPE_NAME_MAX + 1];
    char client[MSCOPE_TEXT_MAX + 1];      /* name of the trainer, for logs                        */
    char reference[MSCOPE_TEXT_MAX + 1];   /* what theta* is, in words; "": there is none          */
    uint32_t rows, dim, capacity, acf_rows;
    uint64_t step;                         /* completed steps; the next STEP is step + 1           */
    int state, form, nesterov;             /* enum mscope_state, enum mscope_form                  */
    int fresh;                             /* no SYNC is needed: m is zero, and theta is zero or does not matter */
    int nll;                               /* the loss is a mean negative log likelihood: the Fisher proxy is allowed */
    char optimizer[64];                    /* forms READ, FROZEN: its name, for the record; optional, ""   */
    uint32_t width;                        /* .. and the coordinates of a row in the trainer; else 0; optional */
    int narrow;                            /* the trainer keeps its rows in a narrower type than the daemon, whose copy
                                              drifts between SYNCs and is never published as exact; optional, 0 */
} mscope_hello;

typedef struct mscope_welcome {
    uint64_t epoch;                        /* different at each daemon start                       */
    uint64_t next_seq;                     /* first sequence number not consumed                   */
    uint64_t step;                         /* the table's completed steps                          */
    uint64_t credit_messages, credit_bytes;
    int exact;                             /* 0: send SYNC                                         */
    int shm;                               /* gradients may come through shared memory; optional, 0 */
} mscope_welcome;

enum mscope_along { MSCOPE_POWER, MSCOPE_TANGENT };    /* the two directions; firmware/README.md says what they are */
enum mscope_spanned { MSCOPE_SPANS_TABLES, MSCOPE_SPANS_ALL };

/* Products with one direction v, |v| = 1, over everything that it spans. H_b is the curvature on the batch of one step,
 * a and b are two halves of it. */
typedef struct mscope_direction {
    int along;                             /* enum mscope_along                                    */
    int spans;                             /* enum mscope_spanned: the watched tables, or every parameter */
    uint64_t values;                       /* coordinates of v                                     */
    double curvature;                      /* <v, H_b v>                                           */
    double product;                        /* <H_a v, H_b v>: |H v|^2 without the noise of a batch. A parameter
                                              whose eps_i is not that of the table counts
                                              eps_i (2 - eps)/(eps (2 - eps_i)) in it             */
    double noise;                          /* |(H_a - H_b) v|^2/4: mean of |(H_b - H) v|^2, its noise; >= 0 */
    double outside_curvature, outside_noise;   /* the parts of both outside the watched tables     */
    uint32_t top_table, top_row;           /* row with the largest share of |v|^2 ..               */
    double top_share;                      /* .. and that share, 0..1; 0: none is named            */
} mscope_direction;

/* What a trainer says about a table in words, such as a change of its rate: the daemon makes an alert of it. */
typedef struct mscope_note {
    char text[MSCOPE_TEXT_MAX + 1];        /* 1 byte or more, UTF-8 without control characters     */
} mscope_note;

/* Each _encode returns the bytes written, or MSCOPE_ENOMEM. */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_hello_encode(const mscope_hello *v, uint8_t *out, size_t cap);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_hello_decode(const uint8_t *in, size_t len, mscope_hello *v,
                                                     mscope_refusal *why);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_welcome_encode(const mscope_welcome *v, uint8_t *out, size_t cap);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_welcome_decode(const uint8_t *in, size_t len, mscope_welcome *v,
                                                       mscope_refusal *why);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_direction_encode(const mscope_direction *v, uint8_t *out, size_t cap);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_direction_decode(const uint8_t *in, size_t len, mscope_direction *v,
                                                         mscope_refusal *why);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_note_encode(const mscope_note *v, uint8_t *out, size_t cap);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_note_decode(const uint8_t *in, size_t len, mscope_note *v,
                                                    mscope_refusal *why);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_refusal_encode(const mscope_refusal *v, uint8_t *out, size_t cap);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_refusal_decode(const uint8_t *in, size_t len, mscope_refusal *v);

/* mscope_default_endpoint - this user's endpoint for "ingest", "telemetry" or "replay"
 *
 * $MOMENTSCOPE_INGEST, $MOMENTSCOPE_TELEMETRY or $MOMENTSCOPE_REPLAY if set, else a socket in the user's runtime
 * directory (protocol/README.md 4). Nothing is created.
 * Errors   MSCOPE_EINVAL `which` is none of the three;  MSCOPE_ENOMEM out[cap] is too short                */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_default_endpoint(const char *which, char *out, size_t cap);

/* -- telemetry -- A double that is not known is NaN here and nil on the wire. */
enum mscope_record_kind {
    MSCOPE_REC_BAND, MSCOPE_REC_TABLE, MSCOPE_REC_ACF, MSCOPE_REC_STABILITY, MSCOPE_REC_DAEMON, MSCOPE_REC_ALERT
};

/* One struct for each kind of record, its fields generated from metrics.def, the one list that code, documentation and
 * schema share. Type text is char[192], type name is char[64]. */
#define MSCOPE_TYPE_u64 uint64_t
#define MSCOPE_TYPE_f64 double
#define MSCOPE_TYPE_bool int
typedef char mscope_text_name[64];
typedef char mscope_text_line[192];
typedef struct mscope_list { uint32_t n; double at[MSCOPE_ACF_LAGS]; } mscope_list;
#define MSCOPE_TYPE_name mscope_text_name
#define MSCOPE_TYPE_text mscope_text_line
#define MSCOPE_TYPE_list mscope_list

#define MSCOPE_METRIC(type, name, unit, kind, help) MSCOPE_TYPE_##type name;
typedef struct mscope_rec_band {
#define MSCOPE_BAND_METRICS
#include "metrics.def"
} mscope_rec_band;
typedef struct mscope_rec_table {
#define MSCOPE_TABLE_METRICS
#include "metrics.def"
} mscope_rec_table;
typedef struct mscope_rec_acf {
#define MSCOPE_ACF_METRICS
#include "metrics.def"
} mscope_rec_acf;
typedef struct mscope_rec_stability {
#define MSCOPE_STABILITY_METRICS
#include "metrics.def"
} mscope_rec_stability;
typedef struct mscope_rec_daemon {
#define MSCOPE_DAEMON_METRICS
#include "metrics.def"
} mscope_rec_daemon;
typedef struct mscope_rec_alert {
#define MSCOPE_ALERT_METRICS
#include "metrics.def"
} mscope_rec_alert;
#undef MSCOPE_METRIC

typedef struct mscope_record {
    enum mscope_record_kind kind;
    union {
        mscope_rec_band band;
        mscope_rec_table table;
        mscope_rec_acf acf;
        mscope_rec_stability stability;
        mscope_rec_daemon daemon;
        mscope_rec_alert alert;
    } u;
} mscope_record;

/* mscope_record_topic - the topic under which a record is published, NUL-terminated; returns its length */
MSCOPE_API int mscope_record_topic(const mscope_record *r, char out[MSCOPE_TOPIC_MAX]);
/* mscope_record_encode - a MessagePack map of every field of the kind, in the order of metrics.def */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_record_encode(const mscope_record *r, uint8_t *out, size_t cap);
/* mscope_record_decode - the kind follows from the topic; missing or mistyped fields are refused, unknown ones
 * skipped */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_record_decode(const char *topic, const uint8_t *in, size_t len,
                                                      mscope_record *r, mscope_refusal *why);

/* metrics.def as an array, for exporters and documentation */
typedef struct mscope_metric {
    const char *record, *name, *type, *unit, *kind, *help;
} mscope_metric;
MSCOPE_API extern const mscope_metric mscope_metrics[];         /* ends with name == NULL */

#ifdef __cplusplus
}
#endif
#endif
