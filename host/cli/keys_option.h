/* keys_option.h - --keys DIR of a command: the folder of keys of this process, and what its own sockets do with it */
#ifndef MSCOPE_CLI_KEYS_OPTION_H
#define MSCOPE_CLI_KEYS_OPTION_H

#include <stdatomic.h>

#include "common/options.h"
#include "protocol/meet/doorman.h"

/* Rows of an option table. The folder goes where libraries and the commands that this one starts look for it: into
 * MOMENTSCOPE_KEYS. */
#define MSCOPE_KEYS_OPTION                                                                                     \
    { "keys", "DIR",                                                                                           \
      "a folder of keys, for a daemon with --keys: connections are encrypted, and go to the peer called daemon" \
      " in DIR alone (default: $MOMENTSCOPE_KEYS, else none); momentscope keys makes one",                     \
      .check = mscope_keys_option, .env = "MOMENTSCOPE_KEYS" }

#define MSCOPE_KEYS_OPTION_SERVE(whom)                                                                         \
    { "keys", "DIR",                                                                                           \
      "a folder of keys: connections are encrypted, " whom " only with a public key that is allowed in DIR, and" \
      " the daemon must be the peer called daemon in DIR (default: $MOMENTSCOPE_KEYS, else none); momentscope"  \
      " keys makes one", .check = mscope_keys_option, .env = "MOMENTSCOPE_KEYS" }

mscope_option_check mscope_keys_option;

/* Whom a socket that binds has turned away. */
typedef struct mscope_keys_told {
    const char *command;
    int quiet;                           /* only errors are said                                                */
    uint64_t said_ns[MSCOPE_DOORMAN_LEFT + 1];    /* whoever reaches the port could fill a disk: a line a second */
    _Atomic uint64_t refused;
} mscope_keys_told;

/* mscope_keys_tell - count, and say on stderr; context: a mscope_keys_told */
mscope_doorman_tell mscope_keys_tell;

/* mscope_keys_remote - MSCOPE_OPTIONS_GO_ON, or an exit code where --allow-remote comes without keys */
MSCOPE_MUST_CHECK int mscope_keys_remote(const mscope_command *c, int remote);

#endif
