/* verify.h - what can be said before a daemon starts: are its options good, and is a state file whole */
#ifndef MSCOPE_DAEMON_VERIFY_H
#define MSCOPE_DAEMON_VERIFY_H

#include "engine.h"
#include "options.h"

/* mscope_verify_options - places of sockets, keys and files of options that are good in themselves; nothing is made but
 * the directory of the default endpoints. Prints what is wrong.
 * mscope_verify_state - read a state file into an engine without tables, and print what it holds
 * Returns  0, or a code of enum mscope_err                                                                     */
MSCOPE_MUST_CHECK int mscope_verify_options(const mscope_options *o);
MSCOPE_MUST_CHECK int mscope_verify_state(mscope_engine *e, const char *path);

#endif
