/* Where control sockets are, and whose they are. */
#ifndef P2P_CLI_CONTROL_PATH_H
#define P2P_CLI_CONTROL_PATH_H

#include "cli.h"

#include <sys/types.h>

enum {
    CONTROL_PATH_MAX = 106, /* of a Unix socket's address, less a NUL and the '~' of a new one */
};

/* The folder for sockets without a name of their own: "$XDG_RUNTIME_DIR/p2p", or "/tmp/p2p-UID".
 * make: it is made if it is missing. False, with a sentence: it is not there, or not only ours. */
bool control_folder(struct text *out, bool make, struct text *why);

/* A socket that listens, for its owner only. */
struct control_place {
    int fd;
    struct text path;
    dev_t device; /* of the file */
    ino_t inode;
};

/* At path; a dead socket that lies there is replaced. False, with a sentence. */
bool control_bind(struct control_place *self, const char *path, struct text *why);
/* The same in the folder, at a free name, the end of the peer id. Dead sockets there are removed.
 */
bool control_bind_default(struct control_place *self, const char *peer, struct text *why);
/* Removes the file if it is still that socket's. The descriptor is the caller's. */
void control_unbind(struct control_place *self);

/* A connection, or -1 with errno. */
int control_connect(const char *path);
/* Calls found for each socket in the folder that somebody listens on. */
void control_each(const char *folder, void (*found)(void *user, const char *path), void *user);

#endif
