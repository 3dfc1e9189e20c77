/* Saving and loading key files. A key is read before there is a host, so it may block. */
#define _GNU_SOURCE /* O_TMPFILE, renameat2 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/file_head.h"
#include "codec/key.h"

static int fail_errno(char *why, size_t why_cap, int code, const char *path, int err)
{
    if (why && why_cap > 0) {
        char text[128] = "unknown error";
        const char *said = strerror_r(err, text, sizeof text); /* GNU's, which returns the text */
        (void)snprintf(why, why_cap, "%s: %s", path, said);
    }
    return code;
}

int p2p_key_load(const char *path, p2p_key **out, char *why, size_t why_cap)
{
    *out = NULL;
    const size_t cap = (size_t)P2P_KEY_FILE_MAX + 1; /* one more shows that it is too large */
    uint8_t *bytes = p2p__alloc(cap);
    if (!bytes) {
        return fail_errno(why, why_cap, P2P_ENOMEM, path, ENOMEM);
    }
    int code;
    ssize_t len = p2p__file_head(path, bytes, cap);
    if (len < 0) {
        code = fail_errno(why, why_cap, P2P_EFILE, path, (int)-len);
    } else {
        char said[256] = "";
        code = p2p_key_decode_file(bytes, (size_t)len, out, said, sizeof said);
        if (why && why_cap > 0) {
            (void)snprintf(why, why_cap, "%s%s%s", code ? path : "", code ? ": " : "", said);
        }
    }
    p2p__wipe(bytes, cap);
    p2p__free(bytes);
    return code;
}

/* All of it, on the disk; 0 or -errno. */
static int fd_write(int fd, const uint8_t *bytes, size_t len)
{
    if (fchmod(fd, S_IRUSR | S_IWUSR) < 0) {
        return -errno;
    }
    while (len > 0) {
        ssize_t wrote = write(fd, bytes, len);
        if (wrote < 0 && errno != EINTR) {
            return -errno;
        }
        if (wrote > 0) {
            bytes += wrote;
            len -= (size_t)wrote;
        }
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* So that the new name survives a power cut. Filesystems that cannot, need not. */
static void directory_sync(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* Without a name until it is whole, so that nothing is left behind, whenever the process dies.
 * -EOPNOTSUPP where the system or the filesystem has no such files. */
static int save_unnamed(const char *directory, const char *path, const uint8_t *bytes, size_t len)
{
#ifdef O_TMPFILE
    int fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        return -EOPNOTSUPP;
    }
    int code = fd_write(fd, bytes, len);
    if (code == 0) {
        char self[64];
        (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0) {
            code = errno == EEXIST ? -EEXIST : -EOPNOTSUPP;
        }
    }
    (void)close(fd);
    return code;
#else
    (void)directory;
    (void)path;
    (void)bytes;
    (void)len;
    return -EOPNOTSUPP;
#endif
}

/* From the temporary name to the real one unless that is taken, in one step. */
static int name_move(const char *from, const char *to)
{
    if (link(from, to) == 0) {
        return 0;
    }
    int err = errno;
#ifdef RENAME_NOREPLACE
    /* Some filesystems have no links. */
    if (err != EEXIST) {
        err = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0 ? 0 : errno;
    }
#endif
    return -err;
}

/* Dying in the middle leaves a file that is called like the key with six random characters. */
static int save_named(const char *path, const uint8_t *bytes, size_t len)
{
    size_t path_len = strlen(path);
    char *name = p2p__alloc(path_len + sizeof ".XXXXXX");
    if (!name) {
        return -ENOMEM;
    }
    memcpy(name, path, path_len);
    memcpy(name + path_len, ".XXXXXX", sizeof ".XXXXXX");
    int code;
    int fd = mkstemp(name);
    if (fd < 0) {
        code = -errno;
    } else {
        code = fd_write(fd, bytes, len);
        if (close(fd) < 0 && code == 0) {
            code = -errno;
        }
        if (code == 0) {
            code = name_move(name, path);
        }
        (void)unlink(name);
    }
    p2p__free(name);
    return code;
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return p2p__strndup(".", 1);
    }
    return slash == path ? p2p__strndup("/", 1) : p2p__strndup(path, (size_t)(slash - path));
}

int p2p_key_save(const p2p_key *key, const char *path, char *why, size_t why_cap)
{
    uint8_t bytes[P2P_KEY_PRIVATE_MAX];
    int len = p2p_key_encode(key, bytes, sizeof bytes);
    if (len < 0) {
        if (why && why_cap > 0) {
            (void)snprintf(why, why_cap, "%s: the private half of an external key is not here",
                           path);
        }
        return len;
    }
    struct stat there;
    char *directory = NULL;
    int code = -ENOMEM;
    if (lstat(path, &there) == 0) {
        code = -EEXIST;
    } else if ((directory = directory_of(path))) {
        code = save_unnamed(directory, path, bytes, (size_t)len);
        if (code == -EOPNOTSUPP) {
            code = save_named(path, bytes, (size_t)len);
        }
    }
    p2p__wipe(bytes, sizeof bytes);
    if (code == 0) {
        directory_sync(directory);
        if (why && why_cap > 0) {
            why[0] = '\0';
        }
    }
    p2p__free(directory);
    if (code == -EEXIST) {
        return fail_errno(why, why_cap, P2P_EEXIST, path, EEXIST);
    }
    return code == 0 ? P2P_OK : fail_errno(why, why_cap, P2P_EWRITE, path, -code);
}
