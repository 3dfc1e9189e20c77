/* Without a network: Unix stream sockets, /unix/PATH, and hosts of one process, /memory/NUMBER
 * (number 0 listens on one that is free). */
#ifndef P2P_TRANSPORT_LOCAL_H
#define P2P_TRANSPORT_LOCAL_H

#include "transport/transport.h"

extern const struct transport_ops p2p__transport_local;

#endif
