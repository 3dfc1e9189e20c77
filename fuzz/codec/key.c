/* Public keys, private keys and key files. A public key that is accepted has an id and refuses a
 * wrong signature; a private key that is accepted writes back as itself, and what it signs verifies
 * by its own public key. */
#include <p2p/key.h>

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t MSG[] = "message";

static void private_check(p2p_key *key)
{
    uint8_t bytes[P2P_KEY_PRIVATE_MAX], again_bytes[P2P_KEY_PRIVATE_MAX], sig[P2P_KEY_SIG_MAX];
    p2p_key *again = NULL;
    int len = p2p_key_encode(key, bytes, sizeof bytes);
    assert(len > 0);
    assert(p2p_key_decode(bytes, (size_t)len, &again) == P2P_OK);
    assert(p2p_key_encode(again, again_bytes, sizeof again_bytes) == len);
    assert(memcmp(bytes, again_bytes, (size_t)len) == 0);
    assert(p2p_peer_id_equal(p2p_key_peer_id(key), p2p_key_peer_id(again)));

    size_t public_len = 0;
    const uint8_t *public_key = p2p_key_public(again, &public_len);
    int sig_len = p2p_key_sign(key, MSG, sizeof MSG, sig);
    assert(sig_len > 0);
    assert(p2p_key_verify(public_key, public_len, MSG, sizeof MSG, sig, (size_t)sig_len) == P2P_OK);
    p2p_key_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    p2p_peer_id id;
    int code = p2p_peer_id_from_public_key(data, size, &id);
    assert((code == P2P_OK) == (id.len > 0));
    if (code == P2P_OK) {
        static const uint8_t ZEROS[64];
        assert(size <= P2P_KEY_PUBLIC_MAX);
        assert(p2p_key_verify(data, size, MSG, sizeof MSG, ZEROS, sizeof ZEROS) == P2P_ESIG);
    }
    p2p_key *key = NULL;
    if (p2p_key_decode(data, size, &key) == P2P_OK) {
        private_check(key);
        p2p_key_free(key);
    }
    char why[128] = "";
    code = p2p_key_decode_file(data, size, &key, why, sizeof why);
    assert((code == P2P_OK) == (key != NULL) && (code == P2P_OK) == (why[0] == '\0'));
    if (key) {
        private_check(key);
        p2p_key_free(key);
    }
    return 0;
}
