/* Any bytes as two identify messages of one peer, the second a push on top of the first. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/key.h"
#include "codec/utf8.h"
#include "services/identify_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The peer of the seeds: its records verify. */
static const p2p_peer_id *peer(void)
{
    static p2p_key *key;
    const uint8_t seed[P2P__ED25519_SEED_LEN] = {1};
    if (!key)
        assert(p2p__key_from_seed(seed, &key) == 0);
    return p2p_key_peer_id(key);
}

static void check_identity(const p2p_identity *identity)
{
    assert(p2p_peer_id_equal(&identity->peer, peer()));
    assert(identity->addr_count <= P2P_IDENTITY_ADDRS_MAX);
    assert(identity->protocol_count <= P2P_IDENTITY_PROTOCOLS_MAX);
    assert(strlen(identity->agent) <= 4 * P2P_IDENTITY_AGENT_MAX);
    assert(p2p__utf8_printable(identity->agent, strlen(identity->agent)));
    assert(p2p__utf8_printable(identity->protocol_version, strlen(identity->protocol_version)));
    p2p_multiaddr addr;
    for (size_t i = 0; i < identity->addr_count; i++) {
        assert(p2p_identity_addr_at(identity, i, &addr) == 0);
        assert(addr.len > 0 && p2p__identity_addr_len(&addr, peer()) == addr.len);
    }
    assert(p2p_identity_addr_at(identity, identity->addr_count, &addr) == P2P_ENOENT);
    for (size_t i = 0; i < identity->protocol_count; i++) {
        size_t len = strlen(identity->protocols[i]);
        assert(len > 0 && len <= IDENTITY_PROTOCOL_NAME_MAX);
        assert(p2p_identity_supports(identity, identity->protocols[i]));
    }
}

/* What we know of it, said by us, must be understood as the same. */
static void check_round_trip(const p2p_identity *identity)
{
    static uint8_t wire[IDENTIFY_PARTS_MAX * IDENTIFY_OWN_PART_MAX];
    struct p2p__const_iov addrs[P2P_IDENTITY_ADDRS_MAX];
    struct identify_own own = {.addrs = addrs,
                               .addr_count = identity->addr_count,
                               .protocols = identity->protocols,
                               .protocol_count = identity->protocol_count};
    for (size_t i = 0; i < identity->addr_count; i++)
        addrs[i] = (struct p2p__const_iov){identity->addrs[i].bytes, identity->addrs[i].len};
    struct identify_cursor cursor = {0};
    size_t len = 0, used;
    while ((used = p2p__identify_encode(&own, &cursor, wire + len)) > 0)
        len += used;
    struct identity_parts msg;
    if (len == 0)
        return;
    assert(cursor.parts <= IDENTIFY_PARTS_MAX);
    assert(p2p__identify_decode(wire, len, peer(), &msg) == 0);
    if (cursor.parts < IDENTIFY_PARTS_MAX - 1) {
        assert(msg.addr_count == identity->addr_count);
        assert(msg.protocol_count == identity->protocol_count);
    }
}

static p2p_identity *take(const uint8_t *in, size_t in_len, p2p_identity *known)
{
    struct identity_parts msg;
    int ended = p2p__identify_check(in, in_len, true);
    /* What is forbidden stays so, and what may still become a message has no forbidden part. */
    int so_far = p2p__identify_check(in, in_len, false);
    assert(so_far == ended || (so_far == 0 && ended == P2P_ETRUNCATED));
    if (p2p__identify_decode(in, in_len, peer(), &msg) < 0)
        return known;
    assert(ended == 0);
    p2p_identity *identity = p2p__identity_merge(known, &msg, peer());
    p2p__free(known);
    assert(identity);
    check_identity(identity);
    check_round_trip(identity);
    return identity;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t first = size >= 2 ? (size_t)(data[0] | data[1] << 8) : 0;
    if (size < 2 || first > size - 2)
        return 0;
    p2p_identity *identity = take(data + 2, first, NULL);
    identity = take(data + 2 + first, size - 2 - first, identity);
    p2p__free(identity);
    return 0;
}
