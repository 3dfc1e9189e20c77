/* Byte 0: bit 0: the certificate is the spec's good one with the bytes behind it exchanged for what
 * follows; otherwise it is the bytes. Byte 1: which of the vectors, and where it is damaged (bytes
 * 2 and 3, big-endian). Then bytes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <p2p/error.h>

#include "layer/tls_cert.h"

#include "../../tests/hex.h"
#include "../../tests/vectors/tls_certs.h"

enum {
    NOW_S = 1795000000,
    CERT_MAX = 1024,
    GOOD = 3,
};

static uint8_t good[GOOD][CERT_MAX];
static size_t good_len[GOOD];

static void check(const uint8_t *der, size_t len, bool known)
{
    const struct p2p__const_iov cert = {der, len};
    struct tls_peer peer, again;
    p2p_peer_id id;
    int code = p2p__tls_cert_verify(&cert, 1, NOW_S, NULL, 0, &peer);
    assert(ERR_peek_error() == 0);
    if (code < 0) {
        assert(!known && code == P2P_EHANDSHAKE);
        assert(peer.error && peer.alert && peer.public_key_len == 0);
        return;
    }
    /* Nobody but the vectors' makers can sign. */
    assert(code == 0 && known && !peer.error);
    assert(p2p_peer_id_from_public_key(peer.public_key, peer.public_key_len, &id) == 0);
    assert(p2p_peer_id_equal(&id, &peer.id));
    assert(p2p__tls_cert_verify(&cert, 1, NOW_S, id.bytes, id.len, &again) == 0);
    id.bytes[id.len - 1] ^= 1;
    assert(p2p__tls_cert_verify(&cert, 1, NOW_S, id.bytes, id.len, &again) == P2P_EPEERID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good_len[0] == 0)
        for (int i = 0; i < GOOD; i++)
            good_len[i] = unhex(tls_vectors[i].cert, good[i], CERT_MAX);
    if (size < 4 || size > 16384)
        return 0;
    uint8_t *der = malloc(size + CERT_MAX);
    size_t len = size - 4;
    memcpy(der, data + 4, len);
    if (data[0] & 1) {
        const uint8_t *base = good[data[1] % GOOD];
        size_t base_len = good_len[data[1] % GOOD],
               at = (size_t)(data[2] << 8 | data[3]) % base_len;
        memcpy(der, base, base_len);
        size_t n = len < base_len - at ? len : base_len - at;
        memcpy(der + at, data + 4, n);
        len = base_len;
    }
    bool known = false;
    for (int i = 0; i < GOOD; i++)
        known |= len == good_len[i] && memcmp(der, good[i], len) == 0;
    check(der, len, known);
    free(der);
    return 0;
}
