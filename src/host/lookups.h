/* The targets of one dial that have names, and what became of each. */
#ifndef P2P_HOST_LOOKUPS_H
#define P2P_HOST_LOOKUPS_H

#include "base/list.h"
#include "host/resolve.h"

enum {
    LOOKUPS_MAX = 4, /* targets with a name of one dial; those who join with more use what comes */
};

struct lookups {
    struct p2p_io *io;
    void (*wake)(void *owner);
    void *owner;
    struct list list;
    size_t count;
};

void p2p__lookups_init(struct lookups *self, struct p2p_io *io, void (*wake)(void *owner),
                       void *owner);
void p2p__lookups_fini(struct lookups *self);

/* Once for each target, of which text is the text. 0, P2P_ENOMEM, P2P_ELIMIT. */
int p2p__lookups_add(struct lookups *self, const p2p_multiaddr *target, const char *text);

/* Goes on, and hands over the addresses of those that have finished: use says whether it could use
 * the address. Returns how many are under way. */
size_t p2p__lookups_run(struct lookups *self, bool (*use)(void *user, const p2p_multiaddr *addr),
                        void *user);

/* Those that brought nothing so far, at most LOOKUPS_MAX. */
size_t p2p__lookups_failed(const struct lookups *self, p2p_attempt *out);

#endif
