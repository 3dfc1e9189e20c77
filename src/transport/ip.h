/* The IP address that most transports' addresses begin with, and its zone: /ip6zone/eth0/ip6/... */
#ifndef P2P_TRANSPORT_IP_H
#define P2P_TRANSPORT_IP_H

#include <p2p/multiaddr.h>

#include "io/io.h"

/* The IP address at the front of a multiaddr, its zone included, into out->family, ip and scope;
 * *offset is then behind it. 0; P2P_ENOTSUP: there is none; P2P_EADDR: no such zone. A zone must be
 * a number or a name among `interfaces`. */
int p2p__ip_parse(const p2p_multiaddr *addr, struct p2p_io *io, size_t *offset,
                  struct io_addr *out);

/* Replaces *out by the IP address alone. */
void p2p__ip_format(const struct io_addr *addr, p2p_multiaddr *out);

#endif
