/* A listener of a transport whose connections are links of one listener of io: TCP, and local ones.
 */
#ifndef P2P_TRANSPORT_LINK_LISTENER_H
#define P2P_TRANSPORT_LINK_LISTENER_H

#include "transport/transport.h"

struct link_listener {
    struct transport_listener base;
    struct io_listener *io;
};

static inline struct link_listener *link_listener_of(const struct transport_listener *base)
{
    return (struct link_listener *)base;
}

/* io listens: what comes in there is the listener's from now on. */
void p2p__link_listener_start(struct link_listener *, struct transport *);
/* It listens no more; its memory is its owner's. */
void p2p__link_listener_end(struct link_listener *);
/* As in transport_ops; of the passage it sets the link. */
int p2p__link_listener_accept(struct transport_listener *, struct passage *out, int *sys_errno);
void p2p__link_listener_resume(struct transport_listener *);

#endif
