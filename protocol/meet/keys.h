/* keys.h - a folder of keys: who this process is on the wire (CURVE), and whom it lets in (private to daemon and host)
 *
 *     DIR/secret    64 hexadecimal digits and a line feed; mode 0600. The public key follows from it.
 *     DIR/allowed   a line for each peer: its public key (64 digits), a blank, its name; # begins a comment
 *
 * To a daemon `allowed` are the peers that may connect. To a trainer or listener it is the daemon: the peer of the name
 * "daemon", or the only one.                                                                                  */
#ifndef MSCOPE_PROTOCOL_MEET_KEYS_H
#define MSCOPE_PROTOCOL_MEET_KEYS_H

#include <stddef.h>
#include <stdio.h>

#include "mscope/err.h"

enum { MSCOPE_KEY_LEN = 64, MSCOPE_KEY_NAME = 63, MSCOPE_KEYS_MOST = 4096, MSCOPE_KEYS_WHY = 512 };

typedef struct mscope_keys {             /* hexadecimal: no shell and no option parser stumbles over it  */
    char public_key[MSCOPE_KEY_LEN + 1], secret_key[MSCOPE_KEY_LEN + 1];
} mscope_keys;

typedef struct mscope_allowed {
    char key[MSCOPE_KEY_LEN + 1], name[MSCOPE_KEY_NAME + 1];
} mscope_allowed;

/* Errors of all: MSCOPE_EIO, MSCOPE_EINVAL (a file that does not hold what it should), MSCOPE_ENOTSUP (a libzmq without
 * CURVE), with why[MSCOPE_KEYS_WHY] in words.
 *
 * mscope_keys_new - make DIR (0700), unless it is there, and a secret in it; an old secret is never replaced
 * mscope_keys_read - the secret of DIR, which nobody else may read
 * mscope_keys_list - at most n peers of DIR/allowed; returns how many there are. A missing file is an empty one
 * mscope_keys_allow - add a peer; its name has letters, digits, _ . -
 * Returns of it    1: it is there already                                                                      */
MSCOPE_MUST_CHECK int mscope_keys_new(const char *dir, mscope_keys *out, char *why);
MSCOPE_MUST_CHECK int mscope_keys_read(const char *dir, mscope_keys *out, char *why);
MSCOPE_MUST_CHECK int mscope_keys_list(const char *dir, mscope_allowed *out, size_t n, char *why);
/* mscope_keys_lines - the same of the lines of such a file; MSCOPE_EINVAL, and *at says in which line */
MSCOPE_MUST_CHECK int mscope_keys_lines(FILE *f, mscope_allowed *out, size_t n, unsigned *at);
MSCOPE_MUST_CHECK int mscope_keys_allow(const char *dir, const char *key, const char *name, char *why);

/* mscope_key_hex - 32 bytes as digits */
void mscope_key_hex(const void *bytes, char out[MSCOPE_KEY_LEN + 1]);

/* mscope_keys_folder - the folder of MOMENTSCOPE_KEYS, which is this process's; NULL: the variable is not set, or
 * empty */
const char *mscope_keys_folder(void);

/* mscope_keys_serve - a socket that will bind speaks CURVE, and asks its context's ZAP handler
 * mscope_keys_use - a socket that will connect uses the folder of MOMENTSCOPE_KEYS
 * Returns of it    1;  0: the variable is not set, the socket speaks without keys                              */
MSCOPE_MUST_CHECK int mscope_keys_serve(void *socket, const mscope_keys *keys, char *why);
MSCOPE_MUST_CHECK int mscope_keys_use(void *socket, char *why);

#endif
