#include <assert.h>
#include <string.h>

#include <p2p/peer_id.h>

#include "codec/cid.h"
#include "codec/key.h"
#include "codec/multibase.h"
#include "codec/multicodec.h"
#include "codec/multihash.h"
#include "crypto/crypto.h"

_Static_assert((int)P2P_PEER_ID_MAX == P2P__PEER_ID_MAX, "one limit, two names");

/* Of the longest id, 61 in base58; as a CID 93 in base16, the widest base. */
#define TEXT_MAX 96

int p2p_peer_id_decode(const uint8_t *bytes, size_t bytes_len, p2p_peer_id *out)
{
    memset(out, 0, sizeof *out);
    if (bytes_len > P2P_PEER_ID_MAX || !p2p__multihash_is_peer_id(bytes, bytes_len)) {
        return P2P_EPEER;
    }
    out->len = (uint8_t)bytes_len;
    memcpy(out->bytes, bytes, bytes_len);
    return P2P_OK;
}

int p2p_peer_id_parse_n(const char *text, size_t text_len, p2p_peer_id *out)
{
    memset(out, 0, sizeof *out);
    /* A NUL would name multibase's identity, which is not text. */
    if (text_len < 2 || text_len > TEXT_MAX || text[0] == '\0') {
        return P2P_EPEER;
    }
    if (text[0] == '1' || (text[0] == 'Q' && text[1] == 'm')) {
        uint8_t bytes[P2P_PEER_ID_MAX];
        int64_t len = p2p__base58_decode(text, text_len, bytes, sizeof bytes);
        return len < 0 ? P2P_EPEER : p2p_peer_id_decode(bytes, (size_t)len, out);
    }
    uint8_t bytes[P2P__CID_MAX];
    struct cid cid;
    /* Version 0 is always dag-pb. */
    if (p2p__cid_parse(text, text_len, bytes, &cid) < 0 || cid.codec != P2P__CODEC_LIBP2P_KEY) {
        return P2P_EPEER;
    }
    uint8_t hash[P2P_PEER_ID_MAX];
    int len = p2p__multihash_encode(cid.hash.code, cid.hash.digest, cid.hash.digest_len, hash,
                                    sizeof hash);
    return len < 0 ? P2P_EPEER : p2p_peer_id_decode(hash, (size_t)len, out);
}

int p2p_peer_id_parse(const char *text, p2p_peer_id *out)
{
    return p2p_peer_id_parse_n(text, strlen(text), out);
}

/* The codecs count a NUL into what they need; so does the caller's out_cap. */
static int format_result(int64_t len)
{
    return len < 0 ? P2P_ETOOBIG : (int)len;
}

int p2p_peer_id_format(const p2p_peer_id *id, char *out, size_t out_cap)
{
    if (id->len == 0 || id->len > P2P_PEER_ID_MAX) {
        return P2P_EPEER;
    }
    return format_result(p2p__base58_encode(id->bytes, id->len, out, out_cap));
}

int p2p_peer_id_format_cid(const p2p_peer_id *id, char *out, size_t out_cap)
{
    struct cid cid = {.version = 1, .codec = P2P__CODEC_LIBP2P_KEY};
    if (id->len > P2P_PEER_ID_MAX || p2p__multihash_parse(id->bytes, id->len, &cid.hash) < 0) {
        return P2P_EPEER;
    }
    return format_result(p2p__cid_format(&cid, 'b', out, out_cap));
}

int p2p_peer_id_equal(const p2p_peer_id *a, const p2p_peer_id *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

int p2p_peer_id_from_public_key(const uint8_t *public_key, size_t public_key_len, p2p_peer_id *out)
{
    memset(out, 0, sizeof *out);
    struct p2p__public_key key;
    int code = p2p__public_key_decode(public_key, public_key_len, &key);
    if (code != P2P_OK) {
        return code;
    }
    int len;
    if (public_key_len <= P2P__PEER_ID_INLINE_MAX) {
        len = p2p__multihash_encode(P2P__MH_IDENTITY, public_key, public_key_len, out->bytes,
                                    sizeof out->bytes);
    } else {
        uint8_t digest[P2P__HASH_LEN];
        p2p__sha256(public_key, public_key_len, digest);
        len = p2p__multihash_encode(P2P__MH_SHA2_256, digest, sizeof digest, out->bytes,
                                    sizeof out->bytes);
    }
    assert(len > 0); /* both forms fit */
    out->len = (uint8_t)len;
    return P2P_OK;
}

const uint8_t *p2p_peer_id_public_key(const p2p_peer_id *id, size_t *len)
{
    struct multihash hash;
    struct p2p__public_key key;
    *len = 0;
    if (id->len > P2P_PEER_ID_MAX || p2p__multihash_parse(id->bytes, id->len, &hash) < 0 ||
        hash.code != P2P__MH_IDENTITY ||
        p2p__public_key_decode(hash.digest, hash.digest_len, &key) != P2P_OK) {
        return NULL;
    }
    *len = hash.digest_len;
    return hash.digest;
}
