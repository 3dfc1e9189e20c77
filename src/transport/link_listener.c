#include "transport/link_listener.h"

static void wake(struct io_listener *io)
{
    struct link_listener *self = io->owner;
    self->base.acceptable = io->acceptable;
    self->base.wake(&self->base);
}

void p2p__link_listener_start(struct link_listener *self, struct transport *transport)
{
    self->base.transport = transport;
    self->io->owner = self;
    self->io->wake = wake;
}

void p2p__link_listener_end(struct link_listener *self)
{
    self->base.transport->shard->io->ops->unlisten(self->io);
}

int p2p__link_listener_accept(struct transport_listener *base, struct passage *out, int *sys_errno)
{
    struct io_listener *io = link_listener_of(base)->io;
    struct shard *shard = base->transport->shard;
    int rc = io->acceptable ? shard->io->ops->accept(io, &shard->pool, &out->link, sys_errno)
                            : P2P_EAGAIN;
    base->acceptable = io->acceptable;
    return rc;
}

void p2p__link_listener_resume(struct transport_listener *base)
{
    struct io_listener *io = link_listener_of(base)->io;
    base->transport->shard->io->ops->resume(io);
    base->acceptable = io->acceptable;
}
