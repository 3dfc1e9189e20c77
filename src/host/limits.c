#include "host/limits.h"

#include "host/host.h"

enum {
    DIAL_FDS_PART = 8,     /* of the descriptors, what is kept for dialing */
    SLOW_US = 1000 * 1000, /* a handshake that takes longer is not missed much */
};

void p2p__limits_init(p2p_host *host)
{
    struct limits *self = &host->limits;
    const p2p_config *config = host->config;
    *self = (struct limits){
        .conns_in_max = (uint32_t)p2p__config_number(config, OPTION_CONNS_IN),
        .conns_out_max = (uint32_t)p2p__config_number(config, OPTION_CONNS_OUT),
        .conns_per_peer = (uint32_t)p2p__config_number(config, OPTION_CONNS_PER_PEER),
        .half_open_max = (uint32_t)p2p__config_number(config, OPTION_HALF_OPEN),
        .fds_max = (uint32_t)p2p__config_number(config, OPTION_FDS),
        .dials_max = (uint32_t)p2p__config_number(config, OPTION_DIALS),
        .limit_loopback = p2p__config_number(config, OPTION_LIMIT_LOOPBACK) != 0,
    };
    const struct prefix_limits prefixes = {
        .conns = {(uint32_t)p2p__config_number(config, OPTION_CONNS_PER_IP),
                  (uint32_t)p2p__config_number(config, OPTION_CONNS_PER_56),
                  (uint32_t)p2p__config_number(config, OPTION_CONNS_PER_SUBNET)},
        .half_open = (uint32_t)p2p__config_number(config, OPTION_HALF_OPEN_PER_IP),
        .interval_us = p2p__config_number(config, OPTION_CONN_INTERVAL) * 1000,
        .burst = (uint32_t)p2p__config_number(config, OPTION_CONN_BURST),
    };
    p2p__prefixes_init(&self->prefixes, &prefixes, &host->shard.hash_key);
    list_init(&self->half_open_of);
}

void p2p__limits_fini(p2p_host *host)
{
    p2p__prefixes_fini(&host->limits.prefixes);
}

uint32_t p2p__limits_fds(const p2p_host *host)
{
    struct p2p_io *io = host->shard.io;
    if (host->limits.fds_max)
        return host->limits.fds_max;
    size_t system = io->ops->fds_max ? io->ops->fds_max(io) : SIZE_MAX;
    size_t share =
        system / 4 * 3; /* the rest is the program's, and ours for what is no connection */
    return share < UINT32_MAX ? (uint32_t)share : UINT32_MAX;
}

static bool exempt(const p2p_host *host, const struct io_addr *remote)
{
    return !remote->family || (!host->limits.limit_loopback && p2p__io_addr_is_loopback(remote));
}

/* ---- handshakes under way ---- */

/* How far it has come. An honest dialer's first bytes come right behind its SYN. */
static int progress(const struct conn_entry *entry)
{
    const p2p_conn *conn = entry->conn;
    return conn->stage < CONN_SECURITY_STEP ? conn->heard : conn->stage;
}

/* One that an honest dialer is not likely to be: silent, or slower than any path. */
static bool is_idle(const p2p_host *host, const struct conn_entry *entry)
{
    return progress(entry) == 0 || shard_now_us(&host->shard) - entry->share.since_us >= SLOW_US;
}

/* One at random of those that have got least far. By chance, because a rule that can be foreseen
 * can be used: under a flood the oldest would always be the honest one with the longest way. */
static struct conn_entry *pick(p2p_host *host, bool idle_only)
{
    struct limits *self = &host->limits;
    struct conn_entry *picked = NULL;
    uint32_t alike = 0, random;
    for (struct list *n = self->half_open_of.next; n != &self->half_open_of; n = n->next) {
        struct conn_entry *entry = P2P__CONTAINER(n, struct conn_entry, share.half_open_node);
        if ((idle_only && !is_idle(host, entry)) || (picked && progress(entry) > progress(picked)))
            continue;
        if (!picked || progress(entry) < progress(picked))
            alike = 0;
        p2p_host_random(host, &random, sizeof(random));
        if (random % ++alike == 0)
            picked = entry;
    }
    return picked;
}

/* Makes room for one more. Random early drop: above half of what may be under way, an idle one
 * goes, the more there are the likelier; at the limit one goes in any case. */
static void make_room(p2p_host *host)
{
    struct limits *self = &host->limits;
    uint32_t early = self->half_open_max / 2, span = self->half_open_max - early, random;
    if (self->half_open <= early)
        return;
    bool full = self->half_open >= self->half_open_max;
    p2p_host_random(host, &random, sizeof(random));
    if (!full && random % span >= self->half_open - early)
        return;
    struct conn_entry *entry = pick(host, !full);
    if (!entry)
        return;
    p2p__limits_opened(host, entry);
    p2p__refused(host, "half_open", "an inbound connection was given up for a newer one");
    p2p__conn_end(entry->conn, (struct ending){.code = P2P_ELIMIT,
                                               .limit = "half_open",
                                               .message = "too many handshakes under way"});
}

/* ---- in and out ---- */

const char *p2p__limits_refuse_in(p2p_host *host, const struct passage *passage)
{
    struct limits *self = &host->limits;
    uint32_t fds = p2p__limits_fds(host);
    if (self->half_open_max == 0)
        return "half_open";
    if (self->proven_in >= self->conns_in_max)
        return "conns_in";
    if (passage->link && self->fds >= fds - fds / DIAL_FDS_PART)
        return "fds";
    if (exempt(host, &passage->remote))
        return NULL;
    return p2p__prefixes_refuse(&self->prefixes, &passage->remote, shard_now_us(&host->shard));
}

const char *p2p__limits_refuse_out(p2p_host *host)
{
    struct limits *self = &host->limits;
    if (self->conns_out >= self->conns_out_max)
        return "conns_out";
    return self->fds >= p2p__limits_fds(host) ? "fds" : NULL;
}

int p2p__limits_enter(p2p_host *host, struct conn_entry *entry, const struct passage *passage,
                      bool outbound)
{
    struct limits *self = &host->limits;
    struct conn_share *share = &entry->share;
    if (!outbound && !exempt(host, &passage->remote)) {
        int rc = p2p__prefixes_enter(&self->prefixes, &share->from, &passage->remote,
                                     shard_now_us(&host->shard));
        if (rc < 0)
            return rc;
    }
    share->counted = true;
    share->outbound = outbound;
    share->fd = passage->link != NULL;
    self->fds += share->fd;
    if (outbound) {
        self->conns_out++;
        return 0;
    }
    make_room(host);
    share->half_open = true;
    share->since_us = shard_now_us(&host->shard);
    list_append(&self->half_open_of, &share->half_open_node);
    self->conns_in++;
    self->half_open++;
    return 0;
}

const char *p2p__limits_prove(p2p_host *host, struct conn_entry *entry)
{
    struct limits *self = &host->limits;
    if (entry->share.outbound)
        return NULL;
    if (self->proven_in >= self->conns_in_max)
        return "conns_in";
    self->proven_in++;
    entry->share.proven = true;
    return NULL;
}

void p2p__limits_opened(p2p_host *host, struct conn_entry *entry)
{
    struct conn_share *share = &entry->share;
    if (!share->half_open)
        return;
    share->half_open = false;
    list_remove(&share->half_open_node);
    p2p__prefixes_opened(&share->from);
    host->limits.half_open--;
}

void p2p__limits_leave(p2p_host *host, struct conn_entry *entry)
{
    struct limits *self = &host->limits;
    struct conn_share *share = &entry->share;
    p2p__limits_opened(host, entry);
    if (!share->counted)
        return;
    share->counted = false;
    self->fds -= share->fd;
    self->conns_in -= !share->outbound;
    self->conns_out -= share->outbound;
    self->proven_in -= share->proven;
    p2p__prefixes_leave(&self->prefixes, &share->from, false, shard_now_us(&host->shard));
}
