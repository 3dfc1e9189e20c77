/* QUIC: /ip4/A/udp/P/quic-v1, /ip6/A/udp/P/quic-v1, with a zone as well (libp2p specs, quic; RFC
 * 9000). Version 1 only: /quic, the drafts' code, is another protocol. */
#ifndef P2P_TRANSPORT_QUIC_H
#define P2P_TRANSPORT_QUIC_H

#include "transport/transport.h"

extern const struct transport_ops p2p__transport_quic;

/* 0; P2P_ENOTSUP when it is a valid address of another transport; P2P_EADDR with *why. A zone must
 * be a number or a name among `interfaces`. */
int p2p__quic_parse(const p2p_multiaddr *addr, struct p2p_io *io, struct io_addr *out,
                    const char **why);
void p2p__quic_format(const struct io_addr *addr, p2p_multiaddr *out);

#endif
