/* TCP addresses: /ip4/A/tcp/P, /ip6/A/tcp/P, /ip6zone/Z/ip6/A/tcp/P, each optionally with /ws and
 * with /p2p/PEER (libp2p specs, addressing, websockets). */
#ifndef P2P_TRANSPORT_TCP_H
#define P2P_TRANSPORT_TCP_H

#include <p2p/multiaddr.h>
#include <p2p/peer_id.h>

#include "io/io.h"

/* 0, or P2P_ENOTSUP when it is a valid address of another transport. peer->len is 0 when the
 * address names none. A zone must be a number or a name among `interfaces`: P2P_EADDR if it is
 * neither. */
int p2p__tcp_parse(const p2p_multiaddr *addr, struct p2p_io *io, struct io_addr *out,
                   p2p_peer_id *peer);

void p2p__tcp_format(const struct io_addr *addr, p2p_multiaddr *out);

/* Appends /p2p/PEER. */
void p2p__addr_append_peer(p2p_multiaddr *self, const p2p_peer_id *peer);

#endif
