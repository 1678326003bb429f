/* keys.c - see keys.h */
#include "keys.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zmq.h>

enum { BYTES = 32 };

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

static int fail(char *why, int code, const char *what, const char *dir, const char *file, const char *text)
{
    (void)snprintf(why, MSCOPE_KEYS_WHY, "%s %s/%s: %s", what, dir, file, text);
    return code;
}

void mscope_key_hex(const void *bytes, char out[MSCOPE_KEY_LEN + 1])
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *b = bytes;

    for (size_t i = 0; i < BYTES; i++) {
        out[2 * i] = digit[b[i] >> 4];
        out[2 * i + 1] = digit[b[i] & 15];
    }
    out[MSCOPE_KEY_LEN] = '\0';
}

static int bytes_of(const char *hex, uint8_t out[BYTES])
{
    char byte[3] = "";

    if (strlen(hex) != MSCOPE_KEY_LEN || strspn(hex, "0123456789abcdef") != MSCOPE_KEY_LEN)
        return -1;
    for (size_t i = 0; i < BYTES; i++) {
        memcpy(byte, hex + 2 * i, 2);
        out[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return 0;
}

/* libzmq makes keys and computes public ones as Z85 text. */
static int to_hex(const char z85[41], char out[MSCOPE_KEY_LEN + 1])
{
    uint8_t bytes[BYTES];

    if (zmq_z85_decode(bytes, z85) == NULL)
        return -1;
    mscope_key_hex(bytes, out);
    return 0;
}

static int public_of(const char *secret, char out[MSCOPE_KEY_LEN + 1])
{
    uint8_t bytes[BYTES];
    char in[41], z85[41];

    return bytes_of(secret, bytes) != 0 || zmq_z85_encode(in, bytes, BYTES) == NULL || zmq_curve_public(z85, in) != 0 ||
                   to_hex(z85, out) != 0
               ? -1 : 0;
}

static int set_key(void *socket, int option, const char *hex)
{
    uint8_t bytes[BYTES];

    return bytes_of(hex, bytes) != 0 ? -1 : zmq_setsockopt(socket, option, bytes, sizeof bytes);
}

/* A file that only its owner, this user or root, can change; `hidden`: nor read. Returns a descriptor, or -1 with why;
 * *missing: there is no such file. */
static int open_own(const char *dir, const char *file, int hidden, int *missing, char *why)
{
    char path[1200];
    struct stat st;
    int fd;

    *missing = 0;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, file) >= sizeof path)
        return fail(why, -1, "cannot open", dir, file, "the path is too long");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        *missing = errno == ENOENT;
        return fail(why, -1, "cannot open", dir, file, strerror(errno));
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == geteuid() || st.st_uid == 0) &&
        (st.st_mode & (hidden ? 077 : 022)) == 0)
        return fd;
    (void)close(fd);
    return fail(why, -1, "not used:", dir, file, hidden
                ? "expected a file of this user that others cannot read (chmod 600)"
                : "expected a file of this user that others cannot change (chmod go-w)");
}

int mscope_keys_read(const char *dir, mscope_keys *out, char *why)
{
    char text[MSCOPE_KEY_LEN + 2] = "";
    int missing, fd;
    ssize_t n;

    if (!zmq_has("curve"))
        return fail(why, MSCOPE_ENOTSUP, "cannot use", dir, "secret", "this libzmq was built without CURVE");
    if ((fd = open_own(dir, "secret", 1, &missing, why)) < 0) {
        if (missing)
            return fail(why, MSCOPE_EIO, "there is no", dir, "secret", "momentscope keys new makes one");
        return MSCOPE_EIO;
    }
    n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n == MSCOPE_KEY_LEN + 1 && text[MSCOPE_KEY_LEN] == '\n')
        text[MSCOPE_KEY_LEN] = '\0';
    if (public_of(text, out->public_key) != 0)
        return fail(why, MSCOPE_EINVAL, "not used:", dir, "secret", "expected a key of 64 hexadecimal digits");
    memcpy(out->secret_key, text, sizeof out->secret_key);
    return 0;
}

int mscope_keys_new(const char *dir, mscope_keys *out, char *why)
{
    char path[1200], line[MSCOPE_KEY_LEN + 2], public_z85[41], secret_z85[41];
    int fd;

    if (zmq_curve_keypair(public_z85, secret_z85) != 0 || to_hex(public_z85, out->public_key) != 0 ||
        to_hex(secret_z85, out->secret_key) != 0)
        return fail(why, MSCOPE_ENOTSUP, "cannot make", dir, "secret", "this libzmq was built without CURVE");
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fail(why, MSCOPE_EIO, "cannot make", dir, "", strerror(errno));
    (void)snprintf(path, sizeof path, "%s/secret", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(why, MSCOPE_EIO, "cannot make", dir, "secret",
                    errno == EEXIST ? "there is one, and it is kept" : strerror(errno));
    (void)snprintf(line, sizeof line, "%s\n", out->secret_key);
    const int bad = write(fd, line, sizeof line - 1) != (ssize_t)sizeof line - 1 || fsync(fd) != 0;
    const int status = errno;
    if ((close(fd) != 0 || bad)) {
        (void)unlink(path);
        return fail(why, MSCOPE_EIO, "cannot write", dir, "secret", strerror(status));
    }
    return 0;
}

/* -- peers ---------------------------------------------------------------------------------------- */

static int name_ok(const char *name)
{
    const size_t n = strlen(name);

    return n >= 1 && n <= MSCOPE_KEY_NAME && strspn(name, NAME_CHARACTERS) == n;
}

int mscope_keys_lines(FILE *f, mscope_allowed *out, size_t n, unsigned *at)
{
    char line[256], key[80], name[80], more[8];
    uint8_t bytes[BYTES];
    int have = 0;

    for (*at = 1; fgets(line, sizeof line, f) != NULL; ++*at) {
        const int fields = line[0] == '#' ? 0 : sscanf(line, "%79s %79s %7s", key, name, more);
        if (fields <= 0)
            continue;
        if (fields != 2 || bytes_of(key, bytes) != 0 || !name_ok(name) || have == MSCOPE_KEYS_MOST)
            return MSCOPE_EINVAL;
        if ((size_t)have < n) {
            memcpy(out[have].key, key, sizeof out[have].key);
            (void)snprintf(out[have].name, sizeof out[have].name, "%.63s", name);
        }
        have++;
    }
    return have;
}

int mscope_keys_list(const char *dir, mscope_allowed *out, size_t n, char *why)
{
    char text[96];
    unsigned at;
    int missing, have, fd = open_own(dir, "allowed", 0, &missing, why);
    FILE *f;

    if (fd < 0)
        return missing ? 0 : MSCOPE_EIO;
    if ((f = fdopen(fd, "r")) == NULL) {
        (void)close(fd);
        return fail(why, MSCOPE_EIO, "cannot read", dir, "allowed", strerror(errno));
    }
    have = mscope_keys_lines(f, out, n, &at);
    (void)fclose(f);
    if (have >= 0)
        return have;
    (void)snprintf(text, sizeof text, "line %u: expected a public key of 64 hexadecimal digits and a name", at);
    return fail(why, MSCOPE_EINVAL, "not used:", dir, "allowed", text);
}

int mscope_keys_allow(const char *dir, const char *key, const char *name, char *why)
{
    mscope_allowed *all = calloc(MSCOPE_KEYS_MOST, sizeof *all);
    char path[1200], line[MSCOPE_KEY_LEN + MSCOPE_KEY_NAME + 4];
    uint8_t bytes[BYTES];
    int fd, n = all != NULL ? mscope_keys_list(dir, all, MSCOPE_KEYS_MOST, why) : MSCOPE_ENOMEM, same = 0;

    for (int i = 0; i < n; i++)
        same |= strcmp(all[i].key, key) == 0;
    free(all);
    if (n < 0 || same)
        return n < 0 ? n : 1;
    if (bytes_of(key, bytes) != 0)
        return fail(why, MSCOPE_EINVAL, "not added to", dir, "allowed",
                    "expected a public key of 64 hexadecimal digits, as `momentscope keys show` prints it");
    if (!name_ok(name))
        return fail(why, MSCOPE_EINVAL, "not added to", dir, "allowed",
                    "expected a name of 1 to 63 letters, digits, _ . -");
    (void)snprintf(path, sizeof path, "%s/allowed", dir);
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(why, MSCOPE_EIO, "cannot write", dir, "allowed", strerror(errno));
    /* a file that an editor left without a last line feed gets it first */
    const off_t end = lseek(fd, 0, SEEK_END);
    const int open_line = end > 0 && pread(fd, line, 1, end - 1) == 1 && line[0] != '\n';
    const int len = snprintf(line, sizeof line, "%s%s %s\n", open_line ? "\n" : "", key, name);
    const int bad = write(fd, line, (size_t)len) != len || fsync(fd) != 0;
    (void)close(fd);
    return bad ? fail(why, MSCOPE_EIO, "cannot write", dir, "allowed", strerror(errno)) : 0;
}

const char *mscope_keys_folder(void)
{
    const char *dir = getenv("MOMENTSCOPE_KEYS");

    return dir != NULL && dir[0] != '\0' ? dir : NULL;
}

/* -- sockets -------------------------------------------------------------------------------------- */

int mscope_keys_serve(void *socket, const mscope_keys *keys, char *why)
{
    const int one = 1;

    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one) == 0 &&
        set_key(socket, ZMQ_CURVE_SECRETKEY, keys->secret_key) == 0 &&
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "momentscope", 11) == 0)
        return 0;
    (void)snprintf(why, MSCOPE_KEYS_WHY, "libzmq does not take the keys: %s", zmq_strerror(errno));
    return MSCOPE_ENOTSUP;
}

static int daemon_of(const char *dir, const mscope_allowed *all, int n, const mscope_allowed **out, char *why)
{
    *out = n == 1 ? &all[0] : NULL;
    for (int i = 0; i < n; i++)
        if (strcmp(all[i].name, "daemon") == 0)
            *out = &all[i];
    return *out != NULL ? 0 : fail(why, MSCOPE_EINVAL, "no key of a daemon in", dir, "allowed",
                                   "momentscope keys allow DIR KEY daemon adds it");
}

int mscope_keys_use(void *socket, char *why)
{
    const char *dir = mscope_keys_folder();
    const mscope_allowed *peer = NULL;
    mscope_allowed *all;
    mscope_keys own;
    int rc, n;

    if (dir == NULL)
        return 0;
    if ((rc = mscope_keys_read(dir, &own, why)) != 0)
        return rc;
    if ((all = calloc(MSCOPE_KEYS_MOST, sizeof *all)) == NULL)
        return MSCOPE_ENOMEM;
    n = mscope_keys_list(dir, all, MSCOPE_KEYS_MOST, why);
    rc = n < 0 ? n : daemon_of(dir, all, n, &peer, why);
    if (rc == 0 && (set_key(socket, ZMQ_CURVE_SERVERKEY, peer->key) != 0 ||
                    set_key(socket, ZMQ_CURVE_PUBLICKEY, own.public_key) != 0 ||
                    set_key(socket, ZMQ_CURVE_SECRETKEY, own.secret_key) != 0)) {
        (void)snprintf(why, MSCOPE_KEYS_WHY, "libzmq does not take the keys of %s: %s", dir, zmq_strerror(errno));
        rc = MSCOPE_ENOTSUP;
    }
    free(all);
    return rc == 0 ? 1 : rc;
}
