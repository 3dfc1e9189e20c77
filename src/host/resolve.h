/* Names in addresses: /dns, /dns4, /dns6 and /dnsaddr, expanded into addresses without names
 * (libp2p specs, addressing). What a name's owner can make us do is bounded by the three limits
 * below, whatever its records say. */
#ifndef P2P_HOST_RESOLVE_H
#define P2P_HOST_RESOLVE_H

#include <p2p/multiaddr.h>

#include "io/io.h"

enum {
    RESOLVE_DEPTH_MAX = 4,    /* questions about a /dnsaddr in a chain */
    RESOLVE_LOOKUPS_MAX = 16, /* questions asked for one address, /dns counting twice */
    RESOLVE_ADDRS_MAX = 32,   /* that come out */
};

struct resolve;

bool p2p__resolve_has_name(const p2p_multiaddr *addr);

/* Asks nothing yet. wake(owner) comes when run may have something to do. NULL: out of memory. */
struct resolve *p2p__resolve_new(struct p2p_io *io, const p2p_multiaddr *addr, uint64_t deadline_us,
                                 void (*wake)(void *owner), void *owner);

/* Goes on. True: finished. */
bool p2p__resolve_run(struct resolve *self);

/* The addresses, in the order in which to try them: IPv6 and IPv4 of a /dns in turn. A secure
 * websocket's get the name as /sni, which its certificate is for. NULL beyond the last. */
const p2p_multiaddr *p2p__resolve_addr(const struct resolve *self, size_t index);

/* Why there is none: a code, and a sentence that names the name. */
int p2p__resolve_error(const struct resolve *self, const char **why);

/* A comma-separated list of name servers, as 192.0.2.53, 127.0.0.1:5353 or [2001:db8::53]:53, into
 * at most IO_NAME_SERVERS addresses. Their number, or P2P_EINVAL. */
int p2p__name_servers_parse(const char *list, struct io_addr *out);

/* At any time. */
void p2p__resolve_free(struct resolve *self);

#endif
