/* Bytes as text. A base is named by its multibase character:
 *   f F base16 · b B c C base32, v V t T base32hex (c C t T padded) · k K base36 · z base58btc
 *   Z base58flickr · m M base64, u U base64url (M U padded) · NUL identity
 * Decoding is strict: no foreign characters, no missing or needless padding, no spare bits that
 * are not zero. Letter case is ignored in bases 16, 32 and 36, as the multibase spec's own vectors
 * demand. Text has no NUL inside, except in the identity base. */
#ifndef P2P_CODEC_MULTIBASE_H
#define P2P_CODEC_MULTIBASE_H

#include <stddef.h>
#include <stdint.h>

/* Bases 36 and 58 take quadratic time, so their input is capped (bytes in, characters out of a
 * peer's hands). Nothing in libp2p comes near. */
#define P2P__BASE_QUADRATIC_MAX 1024

/* With the leading multibase character. encode: characters written without the NUL that follows
 * them; decode: bytes written. `base` may be NULL, otherwise it receives the character.
 * P2P_EINVAL: no such base. P2P_EPROTO: malformed text. P2P_ETOOBIG: does not fit, or above the
 * cap. */
int64_t p2p__multibase_encode(char base, const uint8_t *in, size_t in_len, char *out,
                              size_t out_cap);
int64_t p2p__multibase_decode(const char *text, size_t text_len, uint8_t *out, size_t out_cap,
                              char *base);

/* The same without the leading character. */
int64_t p2p__base_encode(char base, const uint8_t *in, size_t in_len, char *out, size_t out_cap);
int64_t p2p__base_decode(char base, const char *text, size_t text_len, uint8_t *out,
                         size_t out_cap);

/* base58btc without the leading 'z', the display form of peer ids. */
int64_t p2p__base58_encode(const uint8_t *in, size_t in_len, char *out, size_t out_cap);
int64_t p2p__base58_decode(const char *text, size_t text_len, uint8_t *out, size_t out_cap);

#endif
