/* What each protocol of a multiaddr carries. Internal to the multiaddr files, except for
 * p2p__multiaddr_append_component. */
#ifndef P2P_CODEC_MULTIADDR_PROTOCOL_H
#define P2P_CODEC_MULTIADDR_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p2p/multiaddr.h>

#define P2P__MA_VARIABLE (-1)

/* Longest text of one value, with NUL: an http-path in which every byte is escaped. */
#define P2P__MA_VALUE_TEXT_MAX (3 * P2P_MULTIADDR_MAX + 1)

/* How a kind of value is checked and written. `check` sees a value of the right size and may be
 * NULL when that suffices; `format` sees only values that passed it, and a buffer of
 * P2P__MA_VALUE_TEXT_MAX. `parse` returns bytes, `format` characters without NUL. */
struct ma_kind {
    const char *wants; /* completes "/tcp needs ..." */
    bool (*check)(const uint8_t *value, size_t value_len);
    int64_t (*parse)(const char *text, size_t text_len, uint8_t *out, size_t out_cap);
    int64_t (*format)(const uint8_t *value, size_t value_len, char *out);
};

struct ma_protocol {
    const char *name;
    uint32_t code;
    int size;                   /* bytes, or P2P__MA_VARIABLE: a varint length comes first */
    const struct ma_kind *kind; /* NULL when there is no value */
    bool takes_rest; /* in text its value runs to the end, slashes included, or to a last /p2p/ID */
};

/* Static storage or NULL. By name, "ipfs" is p2p. */
const struct ma_protocol *p2p__multiaddr_protocol_by_code(uint64_t code);
const struct ma_protocol *p2p__multiaddr_protocol_by_name(const char *name, size_t name_len);

bool p2p__multiaddr_value_ok(const struct ma_protocol *protocol, const uint8_t *value,
                             size_t value_len);

/* Appends one component. 0, P2P_EADDR for an unknown code, a bad value or after unix, P2P_ETOOBIG
 * beyond the limits of an address; self is unchanged on error. */
int p2p__multiaddr_append_component(p2p_multiaddr *self, uint32_t code, const void *value,
                                    size_t value_len);

/* How much of the text of a value that takes the rest belongs to it. */
size_t p2p__ma_path_len(const char *text, size_t text_len);

extern const struct ma_kind p2p__ma_ip4;
extern const struct ma_kind p2p__ma_ip6;
extern const struct ma_kind p2p__ma_cidr;
extern const struct ma_kind p2p__ma_port;
extern const struct ma_kind p2p__ma_name;
extern const struct ma_kind p2p__ma_path;
extern const struct ma_kind p2p__ma_peer;
extern const struct ma_kind p2p__ma_onion;
extern const struct ma_kind p2p__ma_onion3;
extern const struct ma_kind p2p__ma_garlic64;
extern const struct ma_kind p2p__ma_garlic32;
extern const struct ma_kind p2p__ma_certhash;
extern const struct ma_kind p2p__ma_http_path;
extern const struct ma_kind p2p__ma_memory;

#endif
