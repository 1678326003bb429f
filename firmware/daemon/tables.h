/* tables.h - what a HELLO does to tables: they come, stay, change hands, and make room for others */
#ifndef MSCOPE_DAEMON_TABLES_H
#define MSCOPE_DAEMON_TABLES_H

#include "engine.h"

/* mscope_hello_apply - find, make, keep or replace the table that a HELLO names
 * Returns  0 and *out, or a negative code with *why filled and every table as it was                          */
MSCOPE_MUST_CHECK int mscope_hello_apply(mscope_engine *e, const mscope_header *h, const mscope_hello *hello,
                                         uint64_t now_ns, mscope_shadow **out, mscope_refusal *why);

#endif
