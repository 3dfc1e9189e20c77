/* What comes from where: inbound connections, handshakes and how fast new ones come, counted by the
 * remote's IP address and by the networks around it. */
#ifndef P2P_HOST_PREFIXES_H
#define P2P_HOST_PREFIXES_H

#include "base/list.h"
#include "base/map.h"
#include "base/rate.h"
#include "io/io.h"

enum prefix_level {
    PREFIX_IP,   /* an IPv4 address; one household or server has a /64 of IPv6 */
    PREFIX_SITE, /* /56 of IPv6: what a provider gives a customer */
    PREFIX_NET,  /* /24 of IPv4, /48 of IPv6 */
    PREFIX_LEVELS,
};

enum {
    PREFIX_KEY = 10,          /* level, family, 8 bytes */
    PREFIXES_IDLE_MAX = 4096, /* without a connection, whose rate is remembered: 400 KiB */
};

struct prefix {
    struct map_node node;
    struct list idle;
    uint8_t key[PREFIX_KEY];
    uint32_t conns, half_open;
    struct rate rate; /* of new connections */
};

struct prefix_limits {
    uint32_t conns[PREFIX_LEVELS];
    uint32_t half_open;   /* of one address */
    uint64_t interval_us; /* between new connections of one address, after a burst; 0: any */
    uint32_t burst;
};

struct prefixes {
    struct map map;
    struct list idle; /* the longest idle first */
    uint32_t idle_count;
    struct hash_key hash_key;
    struct prefix_limits limits;
};

/* The counters that one connection is in; all NULL: none. */
struct prefix_set {
    struct prefix *of[PREFIX_LEVELS];
};

void p2p__prefixes_init(struct prefixes *self, const struct prefix_limits *limits,
                        const struct hash_key *hash_key);
/* Nothing is in it any more. */
void p2p__prefixes_fini(struct prefixes *self);

/* The option whose limit refuses one more from there, or NULL. Counts nothing. */
const char *p2p__prefixes_refuse(const struct prefixes *self, const struct io_addr *from,
                                 uint64_t now_us);
/* One more, half-open. 0; P2P_ENOMEM: nothing was counted. */
int p2p__prefixes_enter(struct prefixes *self, struct prefix_set *set, const struct io_addr *from,
                        uint64_t now_us);
void p2p__prefixes_opened(struct prefix_set *set);
/* It is gone; half_open: before it was opened. */
void p2p__prefixes_leave(struct prefixes *self, struct prefix_set *set, bool half_open,
                         uint64_t now_us);

#endif
