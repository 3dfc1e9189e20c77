#include "codec/multihash.h"

#include <string.h>

#include <p2p/error.h>

#include "codec/multicodec.h"
#include "codec/varint.h"

/* Functions whose code is one point, with the bytes of a whole digest; those whose output has any
 * length get the cap. */
static const struct {
    uint32_t code;
    uint8_t digest_max;
} functions[] = {
    {P2P__CODEC_IDENTITY, P2P__MULTIHASH_DIGEST_MAX},
    {P2P__CODEC_SHA1, 20},
    {P2P__CODEC_SHA2_256, 32},
    {P2P__CODEC_SHA2_512, 64},
    {P2P__CODEC_SHA3_512, 64},
    {P2P__CODEC_SHA3_384, 48},
    {P2P__CODEC_SHA3_256, 32},
    {P2P__CODEC_SHA3_224, 28},
    {P2P__CODEC_SHAKE_128, P2P__MULTIHASH_DIGEST_MAX},
    {P2P__CODEC_SHAKE_256, P2P__MULTIHASH_DIGEST_MAX},
    {P2P__CODEC_KECCAK_224, 28},
    {P2P__CODEC_KECCAK_256, 32},
    {P2P__CODEC_KECCAK_384, 48},
    {P2P__CODEC_KECCAK_512, 64},
    {P2P__CODEC_BLAKE3, P2P__MULTIHASH_DIGEST_MAX},
    {P2P__CODEC_SHA2_384, 48},
    {P2P__CODEC_MURMUR3_X64_64, 8},
    {P2P__CODEC_DBL_SHA2_256, 32},
    {P2P__CODEC_MD4, 16},
    {P2P__CODEC_MD5, 16},
    {P2P__CODEC_SHA2_256_TRUNC254_PADDED, 32},
    {P2P__CODEC_SHA2_224, 28},
    {P2P__CODEC_SHA2_512_224, 28},
    {P2P__CODEC_SHA2_512_256, 32},
    {P2P__CODEC_RIPEMD_160, 20},
    {P2P__CODEC_RIPEMD_256, 32},
};

/* Families with a code for each digest length, which counts from 1 at the first code. */
static const struct {
    uint32_t first;
    uint32_t last;
} families[] = {
    {P2P__CODEC_BLAKE2B_8, P2P__CODEC_BLAKE2B_512},
    {P2P__CODEC_BLAKE2S_8, P2P__CODEC_BLAKE2S_256},
    {P2P__CODEC_SKEIN256_8, P2P__CODEC_SKEIN256_256},
    {P2P__CODEC_SKEIN512_8, P2P__CODEC_SKEIN512_512},
    {P2P__CODEC_SKEIN1024_8, P2P__CODEC_SKEIN1024_1024},
};

/* 0 for a function that is not known. */
static size_t digest_max(uint64_t code)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (functions[i].code == code)
            return functions[i].digest_max;
    }
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (code >= families[i].first && code <= families[i].last)
            return (size_t)(code - families[i].first) + 1;
    }
    return 0;
}

int p2p__multihash_decode(const uint8_t *in, size_t in_len, struct multihash *out)
{
    uint64_t code;
    uint64_t len;
    int code_len = p2p__varint_decode(in, in_len, &code);
    if (code_len <= 0)
        return code_len;
    int len_len = p2p__varint_decode(in + code_len, in_len - (size_t)code_len, &len);
    if (len_len <= 0)
        return len_len;
    if (len == 0 || len > P2P__MULTIHASH_DIGEST_MAX)
        return P2P_EPROTO;
    size_t max = digest_max(code);
    if (max == 0)
        return P2P_ENOTSUP;
    if (len > max)
        return P2P_EPROTO;
    size_t header = (size_t)(code_len + len_len);
    if (in_len - header < len)
        return 0;
    *out = (struct multihash){.code = code, .digest = in + header, .digest_len = (size_t)len};
    return (int)(header + (size_t)len);
}

int p2p__multihash_parse(const uint8_t *in, size_t in_len, struct multihash *out)
{
    int used = p2p__multihash_decode(in, in_len, out);
    if (used < 0)
        return used;
    return used > 0 && (size_t)used == in_len ? 0 : P2P_EPROTO;
}

int p2p__multihash_encode(uint64_t code, const uint8_t *digest, size_t digest_len, uint8_t *out,
                          size_t out_cap)
{
    if (digest_len == 0 || digest_len > digest_max(code))
        return P2P_EINVAL;
    size_t header = p2p__varint_len(code) + p2p__varint_len(digest_len);
    if (out_cap < header + digest_len)
        return P2P_ETOOBIG;
    size_t n = p2p__varint_encode(code, out);
    n += p2p__varint_encode(digest_len, out + n);
    memcpy(out + n, digest, digest_len);
    return (int)(n + digest_len);
}

bool p2p__multihash_is_peer_id(const uint8_t *in, size_t in_len)
{
    struct multihash hash;
    if (p2p__multihash_parse(in, in_len, &hash) < 0)
        return false;
    return hash.code == P2P__MH_IDENTITY ? hash.digest_len <= P2P__PEER_ID_INLINE_MAX
                                         : hash.code == P2P__MH_SHA2_256 && hash.digest_len == 32;
}
