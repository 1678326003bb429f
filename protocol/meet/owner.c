/* owner.c - see owner.h */
#include "owner.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "endpoint.h"

static int named(uid_t *out)
{
    const char *said = getenv("MOMENTSCOPE_DAEMON_USER");
    struct passwd pw, *found = NULL;
    char text[2048], *end;

    if (said == NULL || said[0] == '\0')
        return 0;
    *out = (uid_t)strtoul(said, &end, 10);
    if (*end == '\0')
        return 1;
    if (getpwnam_r(said, &pw, text, sizeof text, &found) != 0 || found == NULL)
        return 0;
    *out = found->pw_uid;
    return 1;
}

int mscope_owner_trusted(uid_t uid)
{
    uid_t other;

    return uid == geteuid() || uid == 0 || (named(&other) && uid == other);
}

/* The path of a socket file, or NULL: tcp, or a name of the abstract space. */
static const char *path_of(const char *endpoint)
{
    return strncmp(endpoint, "ipc://", 6) == 0 && endpoint[6] != '@' ? endpoint + 6 : NULL;
}

static int is_usual(const char *dir)
{
    char usual[512];

    return mscope_default_directory(usual, sizeof usual) == 0 && strcmp(dir, usual) == 0;
}

static int refuse(char *why, const char *what, const char *path, uid_t uid)
{
    (void)snprintf(why, MSCOPE_OWNER_WHY, "%s %s is of user %lu, and this is user %lu: set MOMENTSCOPE_DAEMON_USER=%lu "
                   "if that user may have what is sent there", what, path, (unsigned long)uid,
                   (unsigned long)geteuid(), (unsigned long)uid);
    return MSCOPE_EIO;
}

/* By a descriptor, so that all of it is about one directory. */
static int judge_directory(int fd, const char *dir, int usual, char *why)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !mscope_owner_trusted(st.st_uid))
        return refuse(why, "directory", dir, st.st_uid);
    if ((st.st_mode & 022) == 0 || ((st.st_mode & S_ISVTX) != 0 && !usual))
        return 0;
    (void)snprintf(why, MSCOPE_OWNER_WHY, "other users can write to directory %s (mode %04o), and could listen there: "
                   "chmod go-w it, or use a directory of your own", dir, (unsigned)(st.st_mode & 07777));
    return MSCOPE_EIO;
}

int mscope_owner_place(const char *endpoint, char *why)
{
    const char *path = path_of(endpoint);
    char dir[512] = ".";
    int fd, rc;

    if (path == NULL)
        return 0;
    (void)snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash == NULL)
        (void)snprintf(dir, sizeof dir, ".");
    else
        slash[slash == dir] = '\0';
    const int usual = is_usual(dir);
    if (usual)
        (void)mkdir(dir, 0700);
    fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC | (usual ? O_NOFOLLOW : 0));
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP) && usual) {
        (void)snprintf(why, MSCOPE_OWNER_WHY, "%s is not a directory: remove it", dir);
        return MSCOPE_EIO;
    }
    if (fd < 0)
        return 0;                            /* not there, or not for us: nobody answers either */
    rc = judge_directory(fd, dir, usual, why);
    (void)close(fd);
    return rc;
}

int mscope_owner_peer(int fd, const char *endpoint, char *why)
{
    struct sockaddr_un self = { .sun_family = AF_UNSPEC };
    struct ucred cred = { .uid = (uid_t)-1 };
    socklen_t len = sizeof cred, self_len = sizeof self;

    if (strncmp(endpoint, "ipc://", 6) != 0)
        return 0;
    if (getsockname(fd, (struct sockaddr *)&self, &self_len) != 0 || self.sun_family != AF_UNIX ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || cred.uid == (uid_t)-1)
        return 1;                            /* closed, and perhaps the number of something else by now */
    return mscope_owner_trusted(cred.uid) ? 0 : refuse(why, "the process at", endpoint, cred.uid);
}

int mscope_owner_connect(const char *endpoint, char *why)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const char *path = path_of(endpoint);
    struct stat st;
    int rc = mscope_owner_place(endpoint, why);

    if (rc != 0 || path == NULL || strlen(path) >= sizeof a.sun_path)
        return rc;
    memcpy(a.sun_path, path, strlen(path) + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0)
        rc = mscope_owner_peer(fd, endpoint, why) < 0 ? MSCOPE_EIO : 0;
    else if ((errno == EACCES || errno == EPERM) && stat(path, &st) == 0)
        rc = refuse(why, "no permission: the socket", path, st.st_uid);
    (void)close(fd);
    return rc;
}
