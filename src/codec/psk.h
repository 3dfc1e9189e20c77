/* The key of a private network (libp2p specs, pnet r0), as kubo keeps it in its file swarm.key:
 *
 *   /key/swarm/psk/1.0.0/
 *   /base16/                  or /base64/ or /bin/
 *   the 32 bytes in that encoding */
#ifndef P2P_CODEC_PSK_H
#define P2P_CODEC_PSK_H

#include <stddef.h>
#include <stdint.h>

enum {
    P2P__PSK_LEN = 32,
    P2P__PSK_FINGERPRINT_LEN = 16,
    P2P__PSK_FILE_MAX = 1024, /* bytes; the longest form takes 97, and lines may end in spaces */
};

/* From the contents of such a file. Lines end in LF or CRLF, and nothing but white space follows
 * the key. 0, or P2P_EKEY with a sentence in why (which may be NULL) and psk all zero. */
int p2p__psk_decode(const uint8_t *text, size_t text_len, uint8_t psk[P2P__PSK_LEN], char *why,
                    size_t why_cap);

/* Reads such a file. Blocks. P2P_EFILE if it cannot be read, and as above. */
int p2p__psk_load(const char *path, uint8_t psk[P2P__PSK_LEN], char *why, size_t why_cap);

/* What may be shown of a key to tell networks apart, the same as kubo's "Swarm key fingerprint" (in
 * lower-case base16 there): the first 64 bytes of Salsa20 with the nonce "finprint", hashed with
 * SHAKE128. 0 or P2P_ENOTSUP. */
int p2p__psk_fingerprint(const uint8_t psk[P2P__PSK_LEN], uint8_t out[P2P__PSK_FINGERPRINT_LEN]);

#endif
