/* A descriptor that is readable while the flag is up. The caller locks. */
#ifndef P2P_IO_FLAG_H
#define P2P_IO_FLAG_H

#include <stdbool.h>

struct flag {
    int fd[2];
    bool up;
};

/* False when the system is out of descriptors. */
bool p2p__flag_open(struct flag *self);
void p2p__flag_raise(struct flag *self);
void p2p__flag_lower(struct flag *self);
void p2p__flag_close(struct flag *self);

static inline int flag_fd(const struct flag *self)
{
    return self->fd[0];
}

#endif
