/* Caps on what comes in, counted by address and in all. */
#include "host/host.h"

#include <string.h>

#include "base/mem.h"

void p2p__limits_init(struct limits *self, const p2p_config *config)
{
    *self = (struct limits){
        .conns_in_max = (uint32_t)p2p__config_number(config, OPTION_CONNS_IN),
        .conns_out_max = (uint32_t)p2p__config_number(config, OPTION_CONNS_OUT),
        .conns_per_peer = (uint32_t)p2p__config_number(config, OPTION_CONNS_PER_PEER),
        .conns_per_ip = (uint32_t)p2p__config_number(config, OPTION_CONNS_PER_IP),
        .half_open_max = (uint32_t)p2p__config_number(config, OPTION_HALF_OPEN),
        .half_open_per_ip = (uint32_t)p2p__config_number(config, OPTION_HALF_OPEN_PER_IP),
        .limit_loopback = p2p__config_number(config, OPTION_LIMIT_LOOPBACK) != 0,
    };
}

/* One household or server is one /64 of IPv6. */
static void prefix_of(const struct io_addr *addr, uint8_t out[9])
{
    memset(out, 0, 9);
    out[0] = addr->family;
    memcpy(out + 1, addr->ip, addr->family == 4 ? 4 : 8);
}

static struct ip_count *ip_get(p2p_host *host, const struct io_addr *addr)
{
    uint8_t prefix[9];
    prefix_of(addr, prefix);
    uint64_t hash = p2p__hash(&host->shard.hash_key, prefix, sizeof(prefix));
    struct map *ips = &host->limits.ips;
    for (struct map_node *node = p2p__map_first(ips, hash); node; node = p2p__map_next(node)) {
        struct ip_count *ip = P2P__CONTAINER(node, struct ip_count, node);
        if (memcmp(ip->prefix, prefix, sizeof(prefix)) == 0)
            return ip;
    }
    struct ip_count *ip = p2p__alloc(sizeof(*ip));
    if (!ip)
        return NULL;
    memcpy(ip->prefix, prefix, sizeof(prefix));
    p2p__map_put(ips, &ip->node, hash);
    return ip;
}

static void ip_release(p2p_host *host, struct ip_count *ip)
{
    if (ip->conns)
        return;
    p2p__map_remove(&host->limits.ips, &ip->node);
    p2p__free(ip);
}

static p2p_conn *oldest_half_open(p2p_host *host, enum conn_stage before)
{
    for (struct list *node = host->conns.next; node != &host->conns; node = node->next) {
        p2p_conn *conn = P2P__CONTAINER(node, struct p2p_conn, all);
        const struct conn_entry *entry = conn->owner_data;
        if (entry->half_open && conn->stage < before)
            return conn;
    }
    return NULL;
}

/* The longest in the making makes room: an honest handshake takes milliseconds, a stalled one never
 * ends, so a flood of stalled ones pushes out itself. Those that have not even said what they speak
 * go first: an honest dialer's first bytes come right behind its SYN. */
static bool drop_oldest_half_open(p2p_host *host)
{
    p2p_conn *conn = oldest_half_open(host, CONN_SECURITY_STEP);
    if (!conn)
        conn = oldest_half_open(host, CONN_OPEN);
    if (!conn)
        return false;
    p2p__limits_opened(host, conn->owner_data);
    p2p__host_owner.limited(host, "half_open",
                            "an inbound connection was given up for a newer one");
    p2p__conn_end(conn, (struct ending){.code = P2P_ELIMIT,
                                        .limit = "half_open",
                                        .message = "too many handshakes under way"});
    return true;
}

int p2p__limits_enter(p2p_host *host, struct conn_entry *entry, const struct io_addr *remote,
                      const char **limit)
{
    struct limits *self = &host->limits;
    *limit = "conns_in";
    if (self->proven_in >= self->conns_in_max)
        return P2P_ELIMIT;
    struct ip_count *ip = ip_get(host, remote);
    if (!ip) {
        *limit = "memory";
        return P2P_ELIMIT;
    }
    bool exempt = !self->limit_loopback && p2p__io_addr_is_loopback(remote);
    if (!exempt && (ip->conns >= self->conns_per_ip || ip->half_open >= self->half_open_per_ip)) {
        *limit = ip->conns >= self->conns_per_ip ? "conns_per_ip" : "half_open_per_ip";
        ip_release(host, ip);
        return P2P_ELIMIT;
    }
    /* Last: who is refused anyway must not push out another. */
    *limit = "half_open";
    if (self->half_open >= self->half_open_max && !drop_oldest_half_open(host)) {
        ip_release(host, ip);
        return P2P_ELIMIT;
    }
    ip->conns++;
    ip->half_open++;
    self->conns_in++;
    self->half_open++;
    entry->ip = ip;
    entry->half_open = true;
    return 0;
}

int p2p__limits_prove(p2p_host *host, struct conn_entry *entry, const char **limit)
{
    struct limits *self = &host->limits;
    if (!entry->ip)
        return 0;
    if (self->proven_in >= self->conns_in_max) {
        *limit = "conns_in";
        return P2P_ELIMIT;
    }
    self->proven_in++;
    entry->proven = true;
    return 0;
}

void p2p__limits_opened(p2p_host *host, struct conn_entry *entry)
{
    if (!entry->half_open)
        return;
    entry->half_open = false;
    entry->ip->half_open--;
    host->limits.half_open--;
}

void p2p__limits_leave(p2p_host *host, struct conn_entry *entry)
{
    p2p__limits_opened(host, entry);
    if (!entry->ip)
        return;
    host->limits.conns_in--;
    host->limits.proven_in -= entry->proven;
    entry->proven = false;
    entry->ip->conns--;
    ip_release(host, entry->ip);
    entry->ip = NULL;
}
