/* refusal.h - why something that came from outside was refused, in words (private to this repository) */
#ifndef MSCOPE_PROTOCOL_REFUSAL_H
#define MSCOPE_PROTOCOL_REFUSAL_H

#include "mscope/wire.h"

/* mscope_refusal_set - fill *why (may be NULL) and return code
 * value is a printf format; bytes of the result outside printable ASCII become '?', so that a refusal can quote
 * hostile input.                                                                                            */
int mscope_refusal_set(mscope_refusal *why, int code, const char *field, const char *range, const char *text,
                       const char *value, ...) __attribute__((format(printf, 6, 7)));

/* clang-tidy looks at one file at a time; this tells it that no refusal is 0. */
#ifdef __clang_analyzer__
static inline int mscope_refusal_is(int code)
{
    if (code == 0)
        __builtin_unreachable();
    return code;
}
#define mscope_refusal_set(...) mscope_refusal_is((mscope_refusal_set)(__VA_ARGS__))
#endif

/* mscope_refuse_u64 - MSCOPE_EINVAL, with the number in *why */
int mscope_refuse_u64(mscope_refusal *why, const char *field, uint64_t v, const char *range, const char *text);

/* mscope_check_real - 0 if v is finite and ok;  Errors  MSCOPE_ENONFINITE, MSCOPE_EINVAL, with *why filled */
MSCOPE_MUST_CHECK int mscope_check_real(mscope_refusal *why, const char *field, double v, int ok, const char *range,
                                        const char *text);

#endif
