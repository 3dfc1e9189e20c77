/* Endpoints of a machine by name: here a name is a listener's on some machine, and dialing it goes
 * the way that the two machines have to each other. */
#include "io/sim/sim.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

static uint64_t hash_of(const struct p2p_sim *sim, const struct io_local *name)
{
    return name->path_len ? p2p__hash(&sim->key, name->path, name->path_len)
                          : p2p__hash(&sim->key, &name->number, sizeof(name->number));
}

static struct sim_local *find(const struct p2p_sim *sim, const struct io_local *name)
{
    for (struct map_node *node = p2p__map_first(&sim->locals, hash_of(sim, name)); node;
         node = p2p__map_next(node)) {
        struct sim_local *self = P2P__CONTAINER(node, struct sim_local, node);
        if (self->name.path_len == name->path_len &&
            (name->path_len ? memcmp(self->name.path, name->path, name->path_len) == 0
                            : self->name.number == name->number))
            return self;
    }
    return NULL;
}

static int refuse(int *sys_errno, int code, int number)
{
    *sys_errno = number;
    return code;
}

int p2p__sim_dial_local(struct p2p_io *io, const struct io_local *remote, struct pool *pool,
                        struct link **out, int *sys_errno)
{
    struct sim_local *local = find(sim_host_of(io)->sim, remote);
    if (!local)
        return refuse(sys_errno, P2P_ECONN, remote->path_len ? ENOENT : ECONNREFUSED);
    return p2p__sim_dial(io, &local->listener->listener.local, NULL, 0, pool, out, sys_errno);
}

int p2p__sim_listen_local(struct p2p_io *io, const struct io_local *at, struct io_listener **out,
                          int *sys_errno)
{
    struct sim_host *host = sim_host_of(io);
    if (find(host->sim, at))
        return refuse(sys_errno, P2P_ELISTEN, EADDRINUSE);
    if (!host->ips)
        return refuse(sys_errno, P2P_ELISTEN, EADDRNOTAVAIL);
    struct sim_local *self = p2p__alloc(sizeof(*self));
    if (!self)
        return refuse(sys_errno, P2P_ENOMEM, ENOMEM);
    int code = p2p__sim_listen(io, &host->ips->addr, out, sys_errno);
    if (code < 0) {
        p2p__free(self);
        return code;
    }
    self->name = *at;
    self->listener = P2P__CONTAINER(*out, struct sim_listener, listener);
    self->listener->local = self;
    p2p__map_put(&host->sim->locals, &self->node, hash_of(host->sim, at));
    return 0;
}

void p2p__sim_local_free(struct p2p_sim *sim, struct sim_local *self)
{
    p2p__map_remove(&sim->locals, &self->node);
    p2p__free(self);
}
