#include "codec/cid.h"

#include <stdbool.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/multibase.h"
#include "codec/multicodec.h"
#include "codec/varint.h"

#define V0_LEN      34 /* a bare sha2-256 multihash */
#define V0_TEXT_LEN 46 /* always, because the multihash begins 12 20 */

static bool is_v0_hash(const struct multihash *hash)
{
    return hash->code == P2P__MH_SHA2_256 && hash->digest_len == V0_LEN - 2;
}

static int decode_v0(const uint8_t *in, size_t in_len, struct cid *out)
{
    struct multihash hash;
    int err = p2p__multihash_parse(in, in_len, &hash);
    if (err < 0)
        return err;
    if (!is_v0_hash(&hash))
        return P2P_EPROTO;
    *out = (struct cid){.version = 0, .codec = P2P__CODEC_DAG_PB, .hash = hash};
    return 0;
}

int p2p__cid_decode(const uint8_t *in, size_t in_len, struct cid *out)
{
    if (in_len > 0 && in[0] == P2P__MH_SHA2_256)
        return decode_v0(in, in_len, out);
    uint64_t version;
    int used = p2p__varint_decode(in, in_len, &version);
    if (used <= 0)
        return P2P_EPROTO;
    if (version != 1)
        return version == 0 ? P2P_EPROTO : P2P_ENOTSUP;
    size_t at = (size_t)used;
    uint64_t codec;
    used = p2p__varint_decode(in + at, in_len - at, &codec);
    if (used <= 0)
        return P2P_EPROTO;
    at += (size_t)used;
    struct multihash hash;
    int err = p2p__multihash_parse(in + at, in_len - at, &hash);
    if (err < 0)
        return err;
    *out = (struct cid){.version = 1, .codec = codec, .hash = hash};
    return 0;
}

int p2p__cid_encode(const struct cid *self, uint8_t *out, size_t out_cap)
{
    const struct multihash *hash = &self->hash;
    size_t n = 0;
    if (self->version == 0) {
        if (!is_v0_hash(hash) || self->codec != P2P__CODEC_DAG_PB)
            return P2P_EINVAL;
    } else {
        if (self->version != 1 || self->codec > INT64_MAX)
            return P2P_EINVAL;
        if (out_cap < 1 + p2p__varint_len(self->codec))
            return P2P_ETOOBIG;
        n = p2p__varint_encode(1, out);
        n += p2p__varint_encode(self->codec, out + n);
    }
    int hash_len =
        p2p__multihash_encode(hash->code, hash->digest, hash->digest_len, out + n, out_cap - n);
    return hash_len < 0 ? hash_len : (int)n + hash_len;
}

int p2p__cid_parse(const char *text, size_t text_len, uint8_t bytes[P2P__CID_MAX], struct cid *out)
{
    if (text_len == V0_TEXT_LEN && memcmp(text, "Qm", 2) == 0) {
        int64_t len = p2p__base58_decode(text, text_len, bytes, P2P__CID_MAX);
        return len < 0 ? (int)len : decode_v0(bytes, (size_t)len, out);
    }
    int64_t len = p2p__multibase_decode(text, text_len, bytes, P2P__CID_MAX, NULL);
    if (len < 0)
        return (int)len;
    /* The CID spec reserves 12: a version 0 CID has no multibase form. */
    if (len > 0 && bytes[0] == P2P__MH_SHA2_256)
        return P2P_EPROTO;
    return p2p__cid_decode(bytes, (size_t)len, out);
}

int64_t p2p__cid_format(const struct cid *self, char base, char *out, size_t out_cap)
{
    uint8_t bytes[P2P__CID_MAX];
    int len = p2p__cid_encode(self, bytes, sizeof(bytes));
    if (len < 0)
        return len;
    if (self->version == 0)
        return p2p__base58_encode(bytes, (size_t)len, out, out_cap);
    return p2p__multibase_encode(base, bytes, (size_t)len, out, out_cap);
}
