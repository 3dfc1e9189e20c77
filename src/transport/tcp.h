/* TCP: /ip4/A/tcp/P, /ip6/A/tcp/P, /ip6zone/Z/ip6/A/tcp/P, and WebSocket over it, each with /ws, or
 * secure with /tls/ws, /tls/sni/NAME/ws or /wss (libp2p specs, addressing, websockets). One port
 * serves what is asked of it side by side: the first bytes of a connection tell what it speaks. */
#ifndef P2P_TRANSPORT_TCP_H
#define P2P_TRANSPORT_TCP_H

#include "transport/transport.h"

extern const struct transport_ops p2p__transport_tcp;

enum tcp_over {
    OVER_TCP, /* plain libp2p */
    OVER_WS,
    OVER_WSS,
    OVER_COUNT,
};

struct tcp_route {
    struct io_addr at;
    enum tcp_over over;
    bool wss;                     /* written as /wss */
    char name[CONN_NAME_MAX + 1]; /* of /sni, or "" */
};

/* 0; P2P_ENOTSUP when it is a valid address of another transport; P2P_EADDR with *why. A zone must
 * be a number or a name among `interfaces`. */
int p2p__tcp_parse(const p2p_multiaddr *addr, struct p2p_io *io, struct tcp_route *out,
                   const char **why);

/* The route as it was written, or as it is written today. */
void p2p__tcp_format(const struct tcp_route *route, p2p_multiaddr *out);

#endif
