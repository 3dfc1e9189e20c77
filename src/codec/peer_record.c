#include "codec/peer_record.h"

#include <string.h>

#include "codec/envelope.h"
#include "codec/protobuf.h"

enum {
    FIELD_PEER_ID = 1,
    FIELD_SEQ = 2,
    FIELD_ADDRESS = 3,
    ADDRESS_FIELD_MULTIADDR = 1,
};

/* The multicodec libp2p-peer-record (0x0301) as go, js and nim write it: two bytes, not a varint.
 */
static const uint8_t TYPE[] = {0x03, 0x01};
/* The RFC's, which older rust-libp2p writes. */
static const char STALE_TYPE[] = "/libp2p/routing-state-record";

static const struct p2p__envelope_kind KINDS[] = {
    {"libp2p-peer-record", TYPE, sizeof TYPE},
    {"libp2p-routing-state", (const uint8_t *)STALE_TYPE, sizeof STALE_TYPE - 1},
};

/* The multiaddr of an AddressInfo, if it has one that can be valid. */
static int address_decode(struct pb_in in, struct p2p__const_iov *out)
{
    struct pb_field field;
    int got;
    *out = (struct p2p__const_iov){0};
    while ((got = p2p__pb_next(&in, &field)) > 0) {
        if (p2p__pb_is(&field, ADDRESS_FIELD_MULTIADDR, PB_LEN)) {
            *out = (struct p2p__const_iov){field.bytes, field.bytes_len};
        }
    }
    if (out->len > P2P__PEER_RECORD_ADDR_LEN_MAX) {
        out->len = 0;
    }
    return got;
}

static int record_decode(struct pb_in in, struct p2p__peer_record *out)
{
    struct pb_field field;
    int got;
    while ((got = p2p__pb_next(&in, &field)) > 0) {
        if (p2p__pb_is(&field, FIELD_PEER_ID, PB_LEN)) {
            if (p2p_peer_id_decode(field.bytes, field.bytes_len, &out->peer) != P2P_OK) {
                return P2P_EPROTO;
            }
        } else if (p2p__pb_is(&field, FIELD_SEQ, PB_VARINT)) {
            out->seq = field.value;
        } else if (p2p__pb_is(&field, FIELD_ADDRESS, PB_LEN) &&
                   out->addr_count < P2P__PEER_RECORD_ADDRS_MAX) {
            struct p2p__const_iov *addr = &out->addrs[out->addr_count];
            int code = address_decode(p2p__pb_sub(&field), addr);
            if (code < 0) {
                return code;
            }
            out->addr_count += addr->len > 0;
        }
    }
    return got;
}

int p2p__peer_record_open(const uint8_t *envelope, size_t envelope_len,
                          struct p2p__peer_record *out)
{
    memset(out, 0, sizeof *out);
    struct p2p__envelope opened;
    int code =
        p2p__envelope_open(envelope, envelope_len, KINDS, sizeof KINDS / sizeof *KINDS, &opened);
    if (code != P2P_OK) {
        return code;
    }
    code = record_decode(p2p__pb_in(opened.payload, opened.payload_len), out);
    if (code == P2P_OK && !p2p_peer_id_equal(&out->peer, &opened.signer)) {
        code = P2P_EPEERID;
    }
    if (code != P2P_OK) {
        memset(out, 0, sizeof *out);
    }
    return code;
}

int64_t p2p__peer_record_seal(const p2p_key *key, uint64_t seq, const struct p2p__const_iov *addrs,
                              size_t addr_count, uint8_t *out, size_t out_cap)
{
    if (addr_count > P2P__PEER_RECORD_ADDRS_MAX) {
        return P2P_EINVAL;
    }
    const p2p_peer_id *id = p2p_key_peer_id(key);
    uint8_t payload[P2P__PEER_RECORD_PAYLOAD_MAX];
    struct pb_out pb = p2p__pb_out(payload, sizeof payload);
    p2p__pb_put_bytes(&pb, FIELD_PEER_ID, id->bytes, id->len);
    p2p__pb_put_varint(&pb, FIELD_SEQ, seq);
    for (size_t i = 0; i < addr_count; i++) {
        size_t mark = p2p__pb_begin(&pb, FIELD_ADDRESS);
        p2p__pb_put_bytes(&pb, ADDRESS_FIELD_MULTIADDR, addrs[i].base, addrs[i].len);
        p2p__pb_end(&pb, mark);
    }
    if (pb.overflow) {
        return P2P_ETOOBIG;
    }
    return p2p__envelope_seal(key, &KINDS[0], payload, pb.len, out, out_cap);
}
