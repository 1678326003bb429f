/* err.h - the error codes of momentscope
 *
 * Every function that can fail returns 0 or a count on success, and a negative value of enum mscope_err otherwise. */
#ifndef MSCOPE_ERR_H
#define MSCOPE_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

/* MSCOPE_API marks what libmomentscope.so exports: every public declaration, and nothing else. */
#if defined(__GNUC__)
#define MSCOPE_MUST_CHECK __attribute__((warn_unused_result))
#define MSCOPE_API __attribute__((visibility("default")))
#else
#define MSCOPE_MUST_CHECK
#define MSCOPE_API
#endif

enum mscope_err {
    MSCOPE_OK = 0,
    MSCOPE_EINVAL = -1,    /* an argument or field is outside its range              */
    MSCOPE_ENOMEM = -2,    /* the caller's block is too small, or the system has no memory left */
    MSCOPE_ESTATE = -3,    /* the call does not fit the object's state                */
    MSCOPE_EINDEX = -4,    /* a row index is not below the table's row count          */
    MSCOPE_ENONFINITE = -5,/* a NaN or an infinity where a finite number is required  */
    MSCOPE_EPROTO = -6,    /* bytes that are not a valid message or snapshot            */
    MSCOPE_EVERSION = -7,  /* a valid message or snapshot of another version            */
    MSCOPE_EBUSY = -8,     /* a name or resource is in use by another process or thread */
    MSCOPE_EGAP = -9,      /* a sequence or step number skips values or goes back     */
    MSCOPE_EIO = -10,      /* a socket or file failed; logged once where it happened  */
    MSCOPE_EAGAIN = -11,   /* not now, or not in the time given; try again later      */
    MSCOPE_ENOTSUP = -12,  /* a valid request that this build or machine cannot serve */
    MSCOPE_ELAST = -12
};

/* mscope_strerror - a short English phrase for any int, known code or not
 *
 * Owns     nothing; the string is static
 * Threads  any                                                                      */
MSCOPE_API const char *mscope_strerror(int err);

#ifdef __cplusplus
}
#endif
#endif
