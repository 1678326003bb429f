/* err.c - a phrase for each error code of err.h */
#include "mscope/err.h"

const char *mscope_strerror(int err)
{
    switch (err) {
    case MSCOPE_OK:
        return "success";
    case MSCOPE_EINVAL:
        return "value outside its range";
    case MSCOPE_ENOMEM:
        return "not enough memory";
    case MSCOPE_ESTATE:
        return "call does not fit the state";
    case MSCOPE_EINDEX:
        return "row index out of range";
    case MSCOPE_ENONFINITE:
        return "NaN or infinity where a finite number is required";
    case MSCOPE_EPROTO:
        return "malformed message or snapshot";
    case MSCOPE_EVERSION:
        return "unsupported version";
    case MSCOPE_EBUSY:
        return "in use by another";
    case MSCOPE_EGAP:
        return "hole in a sequence";
    case MSCOPE_EIO:
        return "input or output failed";
    case MSCOPE_EAGAIN:
        return "not now, try again later";
    case MSCOPE_ENOTSUP:
        return "not supported here";
    default:
        return err > 0 ? "success (a count)" : "unknown error";
    }
}
