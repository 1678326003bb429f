/* labels.c - the part of LABELS: n texts, each ended by a NUL */
#include <stdio.h>
#include <string.h>

#include "fields.h"
#include "mscope/wire.h"

int mscope_labels_check(const char *text, size_t len, size_t n, mscope_refusal *why)
{
    size_t at = 0, k = 0;
    char range[64];

    if (len > MSCOPE_LABELS_PART)
        return mscope_refusal_set(why, MSCOPE_EPROTO, "labels", "at most 1048576 bytes",
                                  "send them in several messages", "%zu bytes", len);
    for (; k < n && at < len; k++) {
        const char *end = memchr(text + at, '\0', len - at);
        const size_t bytes = end != NULL ? (size_t)(end - (text + at)) : len - at;

        if (end == NULL)
            break;
        if (bytes > MSCOPE_LABEL_MAX)
            return mscope_refusal_set(why, MSCOPE_EINVAL, "labels", "at most 63 bytes", "a label is a few words",
                                      "%zu bytes at entry %zu", bytes, k);
        if (!mscope_utf8_ok((const unsigned char *)text + at, bytes))
            return mscope_refusal_set(why, MSCOPE_EINVAL, "labels", "UTF-8 without control characters",
                                      "a label is printed on terminals: escape it", "%.40s at entry %zu", text + at, k);
        at += bytes + 1;
    }
    (void)snprintf(range, sizeof range, "%zu texts, each ended by a NUL", n);
    return k == n && at == len ? 0 : mscope_refusal_set(why, MSCOPE_EPROTO, "labels", range, "a part of another length",
                                                        "%zu bytes, %zu of them read", len, at);
}
