/* Peer ids from bytes and from text. Whatever is accepted has both texts, and comes back from each
 * as the same id; bytes have one encoding, so they come back as they were. */
#include <p2p/peer_id.h>

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trips(const p2p_peer_id *id)
{
    char text[P2P_PEER_ID_TEXT_MAX];
    p2p_peer_id again;
    int len = p2p_peer_id_format(id, text, sizeof text);
    assert(len > 0 && strlen(text) == (size_t)len);
    assert(p2p_peer_id_parse(text, &again) == P2P_OK);
    assert(memcmp(id, &again, sizeof again) == 0);
    len = p2p_peer_id_format_cid(id, text, sizeof text);
    assert(len > 0 && strlen(text) == (size_t)len);
    assert(p2p_peer_id_parse(text, &again) == P2P_OK);
    assert(p2p_peer_id_equal(id, &again));

    size_t key_len = 0;
    const uint8_t *key = p2p_peer_id_public_key(id, &key_len);
    if (key) {
        assert(p2p_peer_id_from_public_key(key, key_len, &again) == P2P_OK);
        assert(p2p_peer_id_equal(id, &again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    p2p_peer_id id;
    if (p2p_peer_id_decode(data, size, &id) == P2P_OK) {
        assert(id.len == size && memcmp(id.bytes, data, size) == 0);
        round_trips(&id);
    } else {
        assert(id.len == 0);
    }
    if (p2p_peer_id_parse_n((const char *)data, size, &id) == P2P_OK) {
        round_trips(&id);
    } else {
        assert(id.len == 0);
    }
    return 0;
}
