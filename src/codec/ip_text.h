/* IP addresses as text, by RFC 4291 and RFC 5952, without a resolver or a socket header. */
#ifndef P2P_CODEC_IP_TEXT_H
#define P2P_CODEC_IP_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define P2P__IP4_TEXT_MAX 16 /* "255.255.255.255" with NUL */
#define P2P__IP6_TEXT_MAX 46 /* the longest is 45 characters, with an embedded IPv4 address */

/* Four decimal numbers without leading zeros, which some systems read as octal. 0 or P2P_EADDR. */
int p2p__ip4_parse(const char *text, size_t text_len, uint8_t out[4]);

/* Any RFC 4291 form, no zone. 0 or P2P_EADDR. */
int p2p__ip6_parse(const char *text, size_t text_len, uint8_t out[16]);

/* Characters written without the NUL. ip6 is RFC 5952's one form, IPv4-mapped as ::ffff:1.2.3.4. */
size_t p2p__ip4_format(const uint8_t in[4], char out[P2P__IP4_TEXT_MAX]);
size_t p2p__ip6_format(const uint8_t in[16], char out[P2P__IP6_TEXT_MAX]);

#endif
