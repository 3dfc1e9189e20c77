/* SHA-2 and HMAC by libcrypto, which uses the CPU's SHA instructions. A hash cannot fail for its
 * caller: should libcrypto have no memory for a context, libsodium computes it on the stack. */
#include "crypto/hash.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "crypto/lib.h"

enum {
    BLOCK_LEN = 64, /* of SHA-256, FIPS 180-4 */
};

static bool evp_digest(const EVP_MD *md, const struct p2p__const_iov *in, size_t in_count,
                       uint8_t *out)
{
    EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
    bool ok = ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1;
    for (size_t i = 0; ok && i < in_count; i++) {
        ok = EVP_DigestUpdate(ctx, in[i].base, in[i].len) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

void p2p__sha256_iov(const struct p2p__const_iov *in, size_t in_count, uint8_t out[P2P__HASH_LEN])
{
    if (evp_digest(p2p__crypto_lib()->sha256, in, in_count, out)) {
        return;
    }
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < in_count; i++) {
        crypto_hash_sha256_update(&state, in[i].base, in[i].len);
    }
    crypto_hash_sha256_final(&state, out);
}

void p2p__sha256(const uint8_t *in, size_t in_len, uint8_t out[P2P__HASH_LEN])
{
    struct p2p__const_iov iov = {in, in_len};
    p2p__sha256_iov(&iov, 1, out);
}

void p2p__sha512(const uint8_t *in, size_t in_len, uint8_t out[64])
{
    struct p2p__const_iov iov = {in, in_len};
    if (!evp_digest(p2p__crypto_lib()->sha512, &iov, 1, out)) {
        crypto_hash_sha512(out, in, in_len);
    }
}

void p2p__hmac(p2p__hash_fn hash, const uint8_t *key, size_t key_len,
               const struct p2p__const_iov *in, size_t in_count, uint8_t out[P2P__HASH_LEN])
{
    assert(in_count <= P2P__HMAC_PARTS);
    uint8_t pad[BLOCK_LEN] = {0};
    if (key_len > BLOCK_LEN) {
        struct p2p__const_iov whole = {key, key_len};
        hash(&whole, 1, pad);
    } else if (key_len > 0) {
        memcpy(pad, key, key_len);
    }
    for (size_t i = 0; i < BLOCK_LEN; i++) {
        pad[i] ^= 0x36;
    }
    struct p2p__const_iov inner[1 + P2P__HMAC_PARTS];
    inner[0] = (struct p2p__const_iov){pad, sizeof pad};
    for (size_t i = 0; i < in_count; i++) {
        inner[1 + i] = in[i];
    }
    uint8_t digest[P2P__HASH_LEN];
    hash(inner, 1 + in_count, digest);

    for (size_t i = 0; i < BLOCK_LEN; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    struct p2p__const_iov outer[2] = {{pad, sizeof pad}, {digest, sizeof digest}};
    hash(outer, 2, out);
    p2p__wipe(pad, sizeof pad);
    p2p__wipe(digest, sizeof digest);
}

void p2p__wipe(void *secret, size_t len)
{
    sodium_memzero(secret, len);
}

bool p2p__equal_ct(const uint8_t *a, const uint8_t *b, size_t len)
{
    return len == 0 || sodium_memcmp(a, b, len) == 0;
}
