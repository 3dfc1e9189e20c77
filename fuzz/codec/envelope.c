/* Signed envelopes and peer records. A fuzzer forges no signature, so the input is used twice: as
 * an envelope, and as the payload of one that is sealed here and so reaches the record's parser. */
#include <assert.h>
#include <string.h>

#include "codec/envelope.h"
#include "codec/key.h"
#include "codec/peer_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t TYPE[] = {0x03, 0x01};
static const struct p2p__envelope_kind KIND = {"libp2p-peer-record", TYPE, sizeof TYPE};

static void record_check(const uint8_t *in, size_t in_len)
{
    struct p2p__peer_record record;
    if (p2p__peer_record_open(in, in_len, &record) != P2P_OK) {
        assert(record.addr_count == 0 && record.peer.len == 0);
        return;
    }
    assert(record.addr_count <= P2P__PEER_RECORD_ADDRS_MAX && record.peer.len > 0);
    for (size_t i = 0; i < record.addr_count; i++) {
        const struct p2p__const_iov *addr = &record.addrs[i];
        assert(addr->len > 0 && addr->len <= P2P__PEER_RECORD_ADDR_LEN_MAX);
        assert(addr->base >= in && addr->base + addr->len <= in + in_len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t SEED[P2P__ED25519_SEED_LEN] = {1};
    enum { MAX = 16384 };
    record_check(data, size);
    struct p2p__envelope envelope;
    if (p2p__envelope_open(data, size, &KIND, 1, &envelope) != P2P_OK) {
        assert(envelope.signer.len == 0 && !envelope.payload);
    }
    p2p_key *key = NULL;
    uint8_t sealed[MAX + 256];
    if (size > MAX || p2p__key_from_seed(SEED, &key) != P2P_OK) {
        return 0;
    }
    int64_t len = p2p__envelope_seal(key, &KIND, data, size, sealed, sizeof sealed);
    assert(len > 0);
    assert(p2p__envelope_open(sealed, (size_t)len, &KIND, 1, &envelope) == P2P_OK);
    assert(envelope.payload_len == size);
    assert(size == 0 || memcmp(envelope.payload, data, size) == 0);
    assert(p2p_peer_id_equal(&envelope.signer, p2p_key_peer_id(key)));
    record_check(sealed, (size_t)len);
    if (size > 0) {
        sealed[(size_t)len - 65 - data[0] % 32] ^= 1; /* signature's length, its tag, payload... */
        assert(p2p__envelope_open(sealed, (size_t)len, &KIND, 1, &envelope) != P2P_OK);
    }
    p2p_key_free(key);
    return 0;
}
