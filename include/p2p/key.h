/* Keys: what a peer proves its identity with (libp2p specs, peer-ids). A key is made once, used
 * read-only from then on, and may then be used from several threads at once. */
#ifndef P2P_KEY_H
#define P2P_KEY_H

#include <p2p/error.h>
#include <p2p/peer_id.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are those of the protobuf KeyType. */
enum p2p_key_type {
    P2P_KEY_RSA = 0, /* 2048 to 4096 bits, exponent at most 2^32 */
    P2P_KEY_ED25519 = 1,
    P2P_KEY_SECP256K1 = 2,
    P2P_KEY_ECDSA = 3, /* P-256 */
};

/* No longer value of its kind is accepted or produced. */
enum {
    P2P_KEY_PUBLIC_MAX = 576,   /* bytes of an encoded public key; RSA-4096 needs 557 */
    P2P_KEY_PRIVATE_MAX = 2576, /* bytes of an encoded private key; RSA-4096 needs about 2,360 */
    P2P_KEY_SIG_MAX = 512,      /* bytes of a signature; RSA-4096's */
    P2P_KEY_FILE_MAX = 65536,   /* bytes of a key file; kubo's configuration is a few KiB */
};

typedef struct p2p_key p2p_key;

/* "ed25519", "secp256k1", "ecdsa", "rsa"; NULL for another number. Static storage. */
P2P_API const char *p2p_key_type_name(int type);
/* The number of such a name, or P2P_EKEY. */
P2P_API int p2p_key_type_parse(const char *name);

/* A new key from the operating system's randomness (RSA: 2048 bits, which takes a noticeable
 * fraction of a second). The caller frees it. P2P_EKEY for another type, P2P_ENOMEM. */
P2P_API int p2p_key_generate(int type, p2p_key **out);

/* From a protobuf PrivateKey, all of which must be valid: the deterministic encoding, and a public
 * half (where the format has one) that belongs to the private one. For Ed25519 the old form of 96
 * bytes is read too. P2P_EKEY, P2P_ENOMEM. */
P2P_API int p2p_key_decode(const uint8_t *bytes, size_t bytes_len, p2p_key **out);

/* To a protobuf PrivateKey. Bytes written, P2P_ETOOBIG if they do not fit in out_cap (they always
 * fit in P2P_KEY_PRIVATE_MAX), P2P_ENOTSUP for an external key. */
P2P_API int p2p_key_encode(const p2p_key *key, uint8_t *out, size_t out_cap);

/* Signs for a key whose private half the library never sees (an agent, a token, a device). Called
 * synchronously from whatever needs a signature, on the thread that needs it, so it should answer
 * within milliseconds: the loop waits for it. The message is to be signed as the peer-ids spec says
 * for the type (RSA, ECDSA and secp256k1 hash it with SHA-256). Writes at most P2P_KEY_SIG_MAX
 * bytes and returns how many, or a negative p2p_code. It must not call the host. */
typedef int (*p2p_key_sign_fn)(void *user, const uint8_t *msg, size_t msg_len, uint8_t *sig);

/* public_data is the Data of the protobuf PublicKey (Ed25519: the 32 bytes; secp256k1: 33,
 * compressed; ECDSA, RSA: PKIX), copied. sign is called until the last copy of the key is freed.
 * P2P_EKEY if that is no public key of this type, P2P_ENOMEM. */
P2P_API int p2p_key_new_external(int type, const uint8_t *public_data, size_t public_data_len,
                                 p2p_key_sign_fn sign, void *user, p2p_key **out);

/* An independent copy, or NULL when out of memory. */
P2P_API p2p_key *p2p_key_clone(const p2p_key *key);
/* Wipes it first. NULL is allowed. */
P2P_API void p2p_key_free(p2p_key *key);

P2P_API int p2p_key_type(const p2p_key *key);
/* The encoded public key (protobuf PublicKey). Valid as long as the key. */
P2P_API const uint8_t *p2p_key_public(const p2p_key *key, size_t *len);
/* Valid as long as the key. */
P2P_API const p2p_peer_id *p2p_key_peer_id(const p2p_key *key);

/* Writes a signature of at most P2P_KEY_SIG_MAX bytes to sig and returns its length, or P2P_ENOMEM,
 * P2P_EINTERNAL, or what an external key's callback returned. */
P2P_API int p2p_key_sign(const p2p_key *key, const uint8_t *msg, size_t msg_len, uint8_t *sig);

/* 0 if the owner of this encoded public key signed this message; otherwise P2P_ESIG, P2P_EKEY for
 * a malformed key, P2P_ENOMEM. */
P2P_API int p2p_key_verify(const uint8_t *public_key, size_t public_key_len, const uint8_t *msg,
                           size_t msg_len, const uint8_t *sig, size_t sig_len);

/* From the contents of a key file: a protobuf PrivateKey, raw (as go-libp2p, hivemind and
 * js-libp2p keep it) or in base64; kubo's config (JSON, Identity.PrivKey); an unencrypted PEM
 * private key (PKCS#8). Never makes a key up. P2P_EKEY with a sentence in why, P2P_ENOMEM. why may
 * be NULL. */
P2P_API int p2p_key_decode_file(const uint8_t *bytes, size_t bytes_len, p2p_key **out, char *why,
                                size_t why_cap);

/* Reads such a file. Blocks: a named pipe is given a second to be opened by a writer, and is then
 * read to its end. P2P_EFILE if it cannot be read, and as p2p_key_decode_file. */
P2P_API int p2p_key_load(const char *path, p2p_key **out, char *why, size_t why_cap);

/* Writes the raw form to a new file of mode 0600. Blocks. The file appears under its name whole and
 * on disk, or not at all, whatever interrupts it. Never overwrites: P2P_EEXIST. P2P_EWRITE if it
 * cannot be written, P2P_ENOTSUP for an external key. */
P2P_API int p2p_key_save(const p2p_key *key, const char *path, char *why, size_t why_cap);

#ifdef __cplusplus
}
#endif

#endif
