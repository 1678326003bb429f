/* wire.h - bytes between trainer, daemon and subscriber; protocol/README.md is the specification
 *
 * Nothing here allocates, touches a socket or keeps state.                                   */
#ifndef MSCOPE_WIRE_H
#define MSCOPE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSCOPE_VERSION "0.1.0"       /* of the program; the wire's version moves apart from it   */
#define MSCOPE_WIRE_VERSION 1
#define MSCOPE_HEADER_LEN 64
#define MSCOPE_NAME_MAX 63           /* bytes in a table name: letters, digits, _ . -             */
#define MSCOPE_TEXT_MAX 191          /* bytes in any other string of the protocol                 */
#define MSCOPE_HELLO_MAX 1024        /* bytes of an encoded HELLO, WELCOME or ERROR body          */
#define MSCOPE_RECORD_MAX 2048       /* bytes of an encoded telemetry record                      */
#define MSCOPE_TOPIC_MAX 80          /* bytes of a topic                                          */
#define MSCOPE_STEP_MAX 9007199254740991ull   /* 2^53 - 1, the largest step number: exact in a double */
#define MSCOPE_GAP_MAX UINT32_MAX    /* most steps that may be missing before a STEP or SYNC      */

enum mscope_kind {
    MSCOPE_HELLO = 1, MSCOPE_STEP = 2, MSCOPE_PROBE = 3, MSCOPE_REFERENCE = 4, MSCOPE_SYNC = 5,
    MSCOPE_BYE = 6, MSCOPE_SAVE = 7,
    MSCOPE_WELCOME = 64, MSCOPE_ACK = 65, MSCOPE_ERROR = 66
};

enum mscope_flag {
    MSCOPE_FLAG_COUNTS = 1,          /* STEP: a part of u32 occurrence counts follows the values */
    MSCOPE_FLAG_SCHEDULE = 2,        /* STEP: a part of three f64 follows: weight_decay, decoupled_decay, dampening */
    MSCOPE_FLAG_LAST = 4,            /* SYNC, REFERENCE: the chunk that ends at the last row       */
    MSCOPE_FLAG_INEXACT = 8,         /* ACK: this table's shadow is not exact: send SYNC           */
    MSCOPE_FLAG_SHM = 16            /* STEP, PROBE: the bodies lie in shared memory; one part says where */
};

enum mscope_value { MSCOPE_NONE = 0, MSCOPE_F32 = 1, MSCOPE_F16 = 2, MSCOPE_BF16 = 3, MSCOPE_F64 = 4 };
enum mscope_index { MSCOPE_NOINDEX = 0, MSCOPE_U32 = 4, MSCOPE_U64 = 8 };

/* The 64-byte header of every ingest message. Meaning of a, b, extra by kind: protocol/README.md. */
typedef struct mscope_header {
    uint8_t kind;
    uint16_t flags;
    uint64_t session, seq, step;
    double a, b;                     /* STEP: eta, eps.  PROBE: delta, 0                          */
    uint32_t table;                  /* handle chosen by the client in HELLO                      */
    uint32_t count;                  /* entries (STEP, PROBE) or rows (SYNC, REFERENCE); ACK, WELCOME: credit in parts */
    uint32_t extra;                  /* STEP: samples in the batch.  SYNC, REFERENCE: first row   */
    uint8_t index_type, value_type;
} mscope_header;

/* mscope_header_encode - write the 64 bytes, checksum included */
MSCOPE_API void mscope_header_encode(const mscope_header *h, uint8_t out[MSCOPE_HEADER_LEN]);

/* A refusal in words: which field had which value, and what would have been taken. */
typedef struct mscope_refusal {
    int code;                        /* enum mscope_err                                           */
    char field[32], value[48], range[64], text[MSCOPE_TEXT_MAX + 1];
} mscope_refusal;

/* mscope_header_decode - check and read a header: length, magic, version, checksum, kind, every enum field
 *
 * Errors   MSCOPE_EPROTO, MSCOPE_EVERSION, MSCOPE_EINVAL, MSCOPE_ENONFINITE, with *why filled; *h untouched */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_header_decode(const uint8_t *bytes, size_t len, mscope_header *h,
                                                      mscope_refusal *why);

MSCOPE_API size_t mscope_value_size(unsigned value_type);          /* bytes of one value, 0 for none or unknown */

/* mscope_values_decode - n wire values of value_type to float32 (or float64 when to_f64)
 * Shape in: n values little-endian, any alignment.  Threads any.  Cost O(n); no check for NaN here */
MSCOPE_API void mscope_values_decode(const uint8_t *in, unsigned value_type, size_t n, void *out, int to_f64);
/* mscope_indices_decode - n wire indices to u32; returns n, or the position of the first one >= rows */
MSCOPE_API size_t mscope_indices_decode(const uint8_t *in, unsigned index_type, size_t n, uint32_t rows, uint32_t *out);

/* HELLO, WELCOME and ERROR bodies are MessagePack maps. */
typedef struct mscope_hello {
    char table[MSCOPE_NAME_MAX + 1];
    char client[MSCOPE_TEXT_MAX + 1];      /* who, for logs                                        */
    char reference[MSCOPE_TEXT_MAX + 1];   /* what theta* is, "" when there is none                */
    uint32_t rows, dim, capacity, acf_rows;
    uint64_t step;                         /* completed steps when attaching                       */
    int state, form, nesterov;             /* enum mscope_state, enum mscope_form                  */
    int fresh;                             /* theta and m are all zero, or theta is not needed and m is zero */
    int nll;                               /* the loss is a mean negative log likelihood: Fisher curvature is allowed */
    int narrow;                            /* the trainer keeps rows in a narrower type than the shadow, which drifts
                                              between SYNCs: never published as exact; missing on the wire: 0 */
} mscope_hello;

typedef struct mscope_welcome {
    uint64_t epoch, next_seq, step;        /* step: the table's completed steps                    */
    uint64_t credit_messages, credit_bytes;
    int exact;
    int shm;                              /* gradients may come through shared memory; missing on the wire: 0 */
} mscope_welcome;

/* Each _encode returns the bytes written, or MSCOPE_ENOMEM. */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_hello_encode(const mscope_hello *v, uint8_t *out, size_t cap);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_hello_decode(const uint8_t *in, size_t len, mscope_hello *v,
                                                     mscope_refusal *why);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_welcome_encode(const mscope_welcome *v, uint8_t *out, size_t cap);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_welcome_decode(const uint8_t *in, size_t len, mscope_welcome *v,
                                                       mscope_refusal *why);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_refusal_encode(const mscope_refusal *v, uint8_t *out, size_t cap);
MSCOPE_API MSCOPE_MUST_CHECK int mscope_refusal_decode(const uint8_t *in, size_t len, mscope_refusal *v);

/* mscope_default_endpoint - the default ingest, telemetry or replay endpoint of this user
 * which: "ingest", "telemetry", "replay"; $MOMENTSCOPE_INGEST, _TELEMETRY, _REPLAY win. Returns 0 or EINVAL, ENOMEM */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_default_endpoint(const char *which, char *out, size_t cap);

/* Telemetry records. A double that is not known is NaN here and null on the wire. */
enum mscope_record_kind {
    MSCOPE_REC_BAND, MSCOPE_REC_TABLE, MSCOPE_REC_ACF, MSCOPE_REC_DAEMON, MSCOPE_REC_ALERT
};

/* One struct per record kind, its fields generated from include/mscope/metrics.def, the one list that code,
 * documentation and schema share. Text fields are char[192] (r_source, h_source, text) or char[64] (names). */
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
        mscope_rec_daemon daemon;
        mscope_rec_alert alert;
    } u;
} mscope_record;

/* mscope_record_topic - the topic a record goes out under, NUL-terminated; returns its length */
MSCOPE_API int mscope_record_topic(const mscope_record *r, char out[MSCOPE_TOPIC_MAX]);
/* mscope_record_encode - a MessagePack map with every field of the kind, in metrics.def order; bytes or MSCOPE_ENOMEM */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_record_encode(const mscope_record *r, uint8_t *out, size_t cap);
/* mscope_record_decode - kind from the topic; missing or mistyped fields are refused, unknown ones skipped */
MSCOPE_API MSCOPE_MUST_CHECK int mscope_record_decode(const char *topic, const uint8_t *in, size_t len,
                                                      mscope_record *r, mscope_refusal *why);

/* One row of the metric table, for exporters and documentation. */
typedef struct mscope_metric { const char *record, *name, *type, *unit, *kind, *help; } mscope_metric;
MSCOPE_API extern const mscope_metric mscope_metrics[];         /* ends with name == NULL */

#ifdef __cplusplus
}
#endif
#endif
