/* fields.h - MessagePack maps driven by a table of fields (private to protocol and daemon)
 *
 * One table describes one struct. Encode and decode follow it, so names on the wire, C struct and checks cannot differ.
 * The bytes are msgpack-c's, through its packer and its parser template: neither direction allocates.         */
#ifndef MSCOPE_PROTOCOL_FIELDS_H
#define MSCOPE_PROTOCOL_FIELDS_H

#include "mscope/wire.h"
#include "refusal.h"

enum mscope_field_type {
    MSCOPE_FIELD_u64,
    MSCOPE_FIELD_u32,
    MSCOPE_FIELD_int,            /* signed, for error codes                                  */
    MSCOPE_FIELD_bool,
    MSCOPE_FIELD_flag,           /* a bool that may be missing, which means false            */
    MSCOPE_FIELD_option_u32,     /* a u32 or a name that may be missing: 0 and ""            */
    MSCOPE_FIELD_option_name,
    MSCOPE_FIELD_f64,            /* NaN and infinities are nil on the wire; nil reads as NaN */
    MSCOPE_FIELD_name,           /* char[], NUL-terminated, UTF-8 without control characters */
    MSCOPE_FIELD_text,
    MSCOPE_FIELD_list,           /* mscope_list                                              */
    MSCOPE_FIELD_word            /* an int; on the wire the word at that index of `words`    */
};

typedef struct mscope_field {
    const char *name;
    enum mscope_field_type type;
    size_t at, size;             /* where in the struct, and sizeof                          */
    uint64_t low, high;          /* u32, u64: range; 0, 0: any                               */
    const char *const *words;    /* word: ends with NULL                                     */
} mscope_field;

/* mscope_fields_encode - the map {name: value, ...} in table order; bytes written, or MSCOPE_ENOMEM */
MSCOPE_MUST_CHECK int mscope_fields_encode(const mscope_field *f, size_t n, const void *from, uint8_t *out,
                                           size_t cap);

/* mscope_fields_decode - read every field of the table (n <= 128) out of a map; unknown keys are skipped
 *
 * Errors   MSCOPE_EPROTO not one whole map, or a field is missing, given twice or of another type;  MSCOPE_EINVAL a
 *          value out of range;  *into is then half written, so hand in a scratch copy                      */
MSCOPE_MUST_CHECK int mscope_fields_decode(const mscope_field *f, size_t n, const uint8_t *in, size_t len,
                                           void *into, mscope_refusal *why);

/* mscope_utf8_ok - are these n bytes UTF-8 without what a terminal or a page obeys: controls (U+0000 to U+001F, U+007F
 * to U+009F), marks that join or turn the direction of writing (U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F,
 * U+FEFF)? */
int mscope_utf8_ok(const unsigned char *s, size_t n);

#endif
