/* Peer ids: the name of a peer, made of its public key (libp2p specs, peer-ids, RFC-0001). A key
 * that serializes to at most 42 bytes is its own name (Ed25519: 12D3KooW..., secp256k1:
 * 16Uiu2H...), of a longer one the name is the SHA-256 (Qm...). Plain values: copy and compare them
 * freely. */
#ifndef P2P_PEER_ID_H
#define P2P_PEER_ID_H

#include <p2p/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    P2P_PEER_ID_MAX = 44,      /* bytes: a multihash of two bytes and at most 42 */
    P2P_PEER_ID_TEXT_MAX = 80, /* characters of either text form, with the NUL */
};

/* The bytes after len are zero, so that equal ids are equal memory. len 0: no id. */
typedef struct p2p_peer_id {
    uint8_t len;
    uint8_t bytes[P2P_PEER_ID_MAX]; /* a multihash */
} p2p_peer_id;

/* From text: base58 (1..., Qm...) or a CIDv1 of a libp2p-key in any multibase (bafz..., k51...).
 * P2P_EPEER if it is neither. */
P2P_API int p2p_peer_id_parse(const char *text, p2p_peer_id *out);

/* The same for text without a NUL at its end. */
P2P_API int p2p_peer_id_parse_n(const char *text, size_t text_len, p2p_peer_id *out);

/* From the bytes of the multihash, which must be all of it. P2P_EPEER if malformed. */
P2P_API int p2p_peer_id_decode(const uint8_t *bytes, size_t bytes_len, p2p_peer_id *out);

/* To text, NUL-terminated: base58, which is the form to display, or CIDv1 in base32. Returns the
 * characters written without the NUL, P2P_ETOOBIG if they do not fit in out_cap (they always fit in
 * P2P_PEER_ID_TEXT_MAX), P2P_EPEER for no id. */
P2P_API int p2p_peer_id_format(const p2p_peer_id *id, char *out, size_t out_cap);
P2P_API int p2p_peer_id_format_cid(const p2p_peer_id *id, char *out, size_t out_cap);

/* 1 if they are the same, otherwise 0. */
P2P_API int p2p_peer_id_equal(const p2p_peer_id *a, const p2p_peer_id *b);

/* The id of an encoded public key (protobuf PublicKey). P2P_EKEY if it is not one. */
P2P_API int p2p_peer_id_from_public_key(const uint8_t *public_key, size_t public_key_len,
                                        p2p_peer_id *out);

/* The encoded public key that the id holds, as a view into it, or NULL if it holds only a hash or
 * bytes that are no key. */
P2P_API const uint8_t *p2p_peer_id_public_key(const p2p_peer_id *id, size_t *len);

#ifdef __cplusplus
}
#endif

#endif
