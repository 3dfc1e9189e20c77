/* How much the host takes on: connections and descriptors in all, handshakes under way, and what
 * comes from one address or network. A peer's share is in struct peer_load (conn/conn.h), streams
 * and memory are counted there and in struct shard. */
#ifndef P2P_HOST_LIMITS_H
#define P2P_HOST_LIMITS_H

#include <p2p/p2p.h>

#include "host/prefixes.h"

struct conn_entry;
struct passage;

struct limits {
    uint32_t conns_in_max, conns_out_max, conns_per_peer;
    uint32_t dials_max;
    uint32_t half_open_max;
    uint32_t fds_max; /* 0: as the system says */
    bool limit_loopback;
    uint32_t conns_in, conns_out, half_open, fds;
    uint32_t proven_in;       /* of conns_in; the others cost little and end soon */
    struct list half_open_of; /* conn_entry.half_open_node */
    struct prefixes prefixes;
};

/* Of one connection. */
struct conn_share {
    struct prefix_set from; /* inbound: its address's counters */
    struct list half_open_node;
    uint64_t since_us;
    bool counted, outbound, half_open, fd;
    bool proven; /* inbound, with a peer id */
};

void p2p__limits_init(p2p_host *host);
/* After the last connection. */
void p2p__limits_fini(p2p_host *host);
/* The option that refuses one more inbound connection of that kind, or NULL. Changes nothing. */
const char *p2p__limits_refuse_in(p2p_host *host, const struct passage *passage);
/* Likewise one that we dial. */
const char *p2p__limits_refuse_out(p2p_host *host);
/* Counts a connection, which may push another out that is not open yet. 0 or P2P_ENOMEM. */
int p2p__limits_enter(p2p_host *host, struct conn_entry *entry, const struct passage *passage,
                      bool outbound);
/* The remote has proven its peer id: NULL, or the option that refuses it. */
const char *p2p__limits_prove(p2p_host *host, struct conn_entry *entry);
void p2p__limits_opened(p2p_host *host, struct conn_entry *entry);
void p2p__limits_leave(p2p_host *host, struct conn_entry *entry);
/* Descriptors that connections may use. */
uint32_t p2p__limits_fds(const p2p_host *host);

#endif
