/* The transports of a host: which of them an address is for. */
#include "host/host.h"

#include "base/mem.h"
#include "transport/local.h"
#include "transport/quic.h"
#include "transport/tcp.h"

static const struct transport_ops *const built_in[] = {
    &p2p__transport_tcp,
    &p2p__transport_local,
#ifdef P2P_QUIC
    &p2p__transport_quic,
#endif
};

static struct transport *add(p2p_host *self, const struct transport_ops *ops)
{
    struct transport *transport = p2p__alloc(ops->size);
    if (!transport)
        return NULL;
    transport->ops = ops;
    transport->shard = &self->shard;
    if (ops->init)
        ops->init(transport);
    list_append(&self->transports, &transport->node);
    return transport;
}

int p2p__transports_init(p2p_host *self)
{
    for (size_t i = 0; i < sizeof(built_in) / sizeof(*built_in); i++)
        if (!add(self, built_in[i]))
            return P2P_ENOMEM;
    return 0;
}

struct transport *p2p__host_add_transport(p2p_host *self, const struct transport_ops *ops)
{
    return add(self, ops);
}

void p2p__transports_fini(p2p_host *self)
{
    for (struct list *node; (node = list_pop(&self->transports));) {
        struct transport *transport = P2P__CONTAINER(node, struct transport, node);
        if (transport->ops->fini)
            transport->ops->fini(transport);
        p2p__free(transport);
    }
}

void p2p__transports_interfaces_changed(p2p_host *self)
{
    for (struct list *node = self->transports.next; node != &self->transports; node = node->next) {
        struct transport *transport = P2P__CONTAINER(node, struct transport, node);
        if (transport->ops->interfaces_changed)
            transport->ops->interfaces_changed(transport);
    }
}

int p2p__transport_find(const p2p_host *self, const p2p_multiaddr *addr, struct transport **out,
                        const char **why)
{
    *why = "no transport for it is built in";
    for (struct list *node = self->transports.next; node != &self->transports; node = node->next) {
        struct transport *transport = P2P__CONTAINER(node, struct transport, node);
        int rc = transport->ops->claim(transport, addr, why);
        if (rc == P2P_ENOTSUP)
            continue;
        *out = transport;
        return rc;
    }
    return P2P_ENOTSUP;
}
