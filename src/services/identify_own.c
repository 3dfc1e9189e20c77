/* What we say about ourselves. */
#include "services/identify.h"

#include <string.h>

#include "base/mem.h"
#include "codec/addr_facts.h"
#include "codec/peer_record.h"

enum {
    /* Our addresses and, with a key and signature of RSA-4096, their record fit in one part each.
     */
    OWN_ADDRS_MAX = 64,
    OWN_ADDRS_LEN_MAX = 2048,
};

static const char PROTOCOL_VERSION[] = "ipfs/0.1.0";

void p2p__identify_own_reset(struct identify *self)
{
    for (size_t i = 0; i < IDENTIFY_CIRCLES; i++) {
        p2p__free(self->own[i]);
        self->own[i] = NULL;
    }
}

/* ---- who is told which ---- */

/* How far away the other end is. Without an IP address it is on this machine, or at the end of a
 * wire, which leads nowhere else; a relay's client is anywhere. */
static enum identify_circle circle_of(const p2p_conn *conn)
{
    p2p_multiaddr remote;
    struct addr_facts facts;
    p2p_conn_remote_addr(conn, &remote);
    p2p__addr_facts(&remote, &facts);
    if (facts.kind == KIND_RELAY || facts.reach == REACH_PUBLIC)
        return CIRCLE_WORLD;
    return facts.reach == REACH_NONE || facts.reach == REACH_LOOPBACK ? CIRCLE_MACHINE
                                                                      : CIRCLE_NETWORK;
}

/* Addresses that mean nothing there, or something else, are not told. */
static bool concerns(enum identify_circle circle, const p2p_multiaddr *addr)
{
    struct addr_facts facts;
    p2p__addr_facts(addr, &facts);
    if (facts.kind == KIND_UNIX || facts.kind == KIND_MEMORY)
        return false;
    switch (facts.reach) {
    case REACH_LOOPBACK:
        return circle == CIRCLE_MACHINE;
    case REACH_LINK_LOCAL:
    case REACH_PRIVATE:
        return circle != CIRCLE_WORLD;
    default:
        return true;
    }
}

struct gathered {
    struct p2p__const_iov addrs[OWN_ADDRS_MAX];
    uint8_t bytes[OWN_ADDRS_LEN_MAX];
    size_t count, len;
};

static void add(struct gathered *out, const struct identify *self, enum identify_circle circle,
                const p2p_multiaddr *addr)
{
    size_t len = p2p__identity_addr_len(addr, p2p_host_peer(self->host));
    if (len == 0 || len > sizeof(out->bytes) - out->len || out->count == OWN_ADDRS_MAX ||
        !concerns(circle, addr) || !p2p__announce_may(self->host, addr))
        return;
    for (size_t i = 0; i < out->count; i++)
        if (out->addrs[i].len == len && memcmp(out->addrs[i].base, addr->bytes, len) == 0)
            return;
    memcpy(out->bytes + out->len, addr->bytes, len);
    out->addrs[out->count++] = (struct p2p__const_iov){out->bytes + out->len, len};
    out->len += len;
}

static void gather(struct identify *self, enum identify_circle circle, struct gathered *out)
{
    const p2p_host *host = self->host;
    const struct announce *announce = &host->announce;
    p2p_observed observed = P2P_OBSERVED_INIT;
    p2p_multiaddr addr;
    out->count = out->len = 0;
    for (size_t i = 0; i < announce->count; i++)
        add(out, self, circle, &announce->instead[i]);
    if (announce->count)
        return;
    /* First those that others can use, as far as there is room. */
    for (size_t i = 0; p2p_identify_observed(host, i, &observed) == 0; i++)
        if (observed.believed)
            add(out, self, circle, &observed.addr);
    for (size_t i = 0; p2p_host_addr(host, i, &addr) == 0; i++)
        add(out, self, circle, &addr);
}

/* Higher than any before, also than those of the runs before this one: wall time, unless that was
 * set back. */
static uint64_t next_seq(struct identify *self)
{
    struct p2p_io *io = self->host->shard.io;
    int64_t wall_us = io->ops->wall_us(io);
    uint64_t seq = wall_us > 0 ? (uint64_t)wall_us : 0;
    self->record_seq = seq > self->record_seq ? seq : self->record_seq + 1;
    return self->record_seq;
}

/* Signing is the dear part, so it is done once for each set of addresses. Without memory or
 * signature we say what we can. */
static const struct identify_own_addrs *own_addrs(struct identify *self,
                                                  enum identify_circle circle)
{
    if (self->own[circle])
        return self->own[circle];
    struct gathered got;
    uint8_t record[IDENTIFY_OWN_PART_MAX];
    gather(self, circle, &got);
    int64_t sealed = got.count ? p2p__peer_record_seal(p2p_host_key(self->host), next_seq(self),
                                                       got.addrs, got.count, record, sizeof(record))
                               : 0;
    size_t record_len = sealed > 0 ? (size_t)sealed : 0;
    struct identify_own_addrs *own =
        p2p__alloc(sizeof(*own) + got.count * sizeof(*own->addrs) + got.len + record_len);
    if (!own)
        return NULL;
    uint8_t *bytes = (uint8_t *)(own->addrs + got.count);
    own->addr_count = got.count;
    for (size_t i = 0; i < got.count; i++)
        own->addrs[i] =
            (struct p2p__const_iov){bytes + (got.addrs[i].base - got.bytes), got.addrs[i].len};
    memcpy(bytes, got.bytes, got.len);
    memcpy(bytes + got.len, record, record_len);
    own->record = (struct p2p__const_iov){bytes + got.len, record_len};
    self->own[circle] = own;
    return own;
}

static int write_parts(const struct identify_own *own, p2p_stream *stream)
{
    uint8_t part[IDENTIFY_OWN_PART_MAX];
    struct identify_cursor cursor = {0};
    size_t len;
    while ((len = p2p__identify_encode(own, &cursor, part)) > 0) {
        int64_t taken = p2p_stream_write(stream, part, len);
        if (taken != (int64_t)len)
            return taken < 0 ? (int)taken : P2P_ETOOBIG;
    }
    return 0;
}

int p2p__identify_say(struct identify *self, p2p_stream *stream, const p2p_conn *conn)
{
    const char *protocols[P2P_IDENTITY_PROTOCOLS_MAX];
    const struct identify_own_addrs *addrs = own_addrs(self, circle_of(conn));
    struct identify_own own = {
        .protocol_version = PROTOCOL_VERSION,
        .agent = p2p__host_option(self->host, "agent"),
        .protocols = protocols,
    };
    own.public_key.base = p2p_key_public(p2p_host_key(self->host), &own.public_key.len);
    while (own.protocol_count < P2P_IDENTITY_PROTOCOLS_MAX &&
           (protocols[own.protocol_count] = p2p_host_protocol(self->host, own.protocol_count)))
        own.protocol_count++;
    if (addrs) {
        own.addrs = addrs->addrs;
        own.addr_count = addrs->addr_count;
        own.record = addrs->record;
    }
    p2p_multiaddr observed;
    p2p_conn_remote_addr(conn, &observed);
    own.observed = (struct p2p__const_iov){observed.bytes,
                                           p2p__identity_addr_len(&observed, p2p_conn_peer(conn))};
    int rc = write_parts(&own, stream);
    struct known *known = p2p__identify_known(self, p2p_conn_peer(conn));
    if (rc == 0 && known)
        known->told = self->version;
    return rc;
}
