/* The values of multiaddr components: one kind after the other, each with its check, its reader
 * and its writer. */
#include <stdio.h>
#include <string.h>

#include <p2p/peer_id.h>

#include "codec/cid.h"
#include "codec/ip_text.h"
#include "codec/multiaddr_protocol.h"
#include "codec/multibase.h"
#include "codec/multicodec.h"
#include "codec/multihash.h"
#include "codec/utf8.h"

/* RFC 1035 allows 255 octets for a domain name; zones of interfaces are far shorter. */
#define NAME_MAX_LEN 255

/* --- numbers ------------------------------------------------------------------------------- */

static int parse_decimal(const char *text, size_t text_len, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (text_len == 0)
        return P2P_EADDR;
    for (size_t i = 0; i < text_len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return P2P_EADDR;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (max - digit) / 10)
            return P2P_EADDR;
        value = value * 10 + digit;
    }
    *out = value;
    return 0;
}

static uint64_t load_be(const uint8_t *in, size_t in_len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < in_len; i++)
        value = value << 8 | in[i];
    return value;
}

static void store_be(uint64_t value, uint8_t *out, size_t out_len)
{
    for (size_t i = out_len; i-- > 0; value >>= 8)
        out[i] = (uint8_t)value;
}

static int64_t parse_number(const char *text, size_t text_len, uint64_t max, uint8_t *out,
                            size_t width)
{
    uint64_t value;
    if (parse_decimal(text, text_len, max, &value) < 0)
        return P2P_EADDR;
    store_be(value, out, width);
    return (int64_t)width;
}

static int64_t format_number(const uint8_t *value, size_t value_len, char *out)
{
    return snprintf(out, P2P__MA_VALUE_TEXT_MAX, "%llu",
                    (unsigned long long)load_be(value, value_len));
}

static int64_t parse_port(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    (void)out_cap;
    return parse_number(text, text_len, UINT16_MAX, out, 2);
}

static int64_t parse_cidr(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    (void)out_cap;
    return parse_number(text, text_len, 128, out, 1);
}

static bool check_cidr(const uint8_t *value, size_t value_len)
{
    return value_len == 1 && value[0] <= 128;
}

static int64_t parse_memory(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    (void)out_cap;
    return parse_number(text, text_len, UINT64_MAX, out, 8);
}

const struct ma_kind p2p__ma_port = {"a port from 0 to 65535", NULL, parse_port, format_number};
const struct ma_kind p2p__ma_cidr = {"a prefix length from 0 to 128", check_cidr, parse_cidr,
                                     format_number};
const struct ma_kind p2p__ma_memory = {"a 64-bit number", NULL, parse_memory, format_number};

/* --- IP addresses -------------------------------------------------------------------------- */

static int64_t parse_ip4(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    (void)out_cap;
    return p2p__ip4_parse(text, text_len, out) < 0 ? P2P_EADDR : 4;
}

static int64_t format_ip4(const uint8_t *value, size_t value_len, char *out)
{
    (void)value_len;
    return (int64_t)p2p__ip4_format(value, out);
}

static int64_t parse_ip6(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    (void)out_cap;
    return p2p__ip6_parse(text, text_len, out) < 0 ? P2P_EADDR : 16;
}

static int64_t format_ip6(const uint8_t *value, size_t value_len, char *out)
{
    (void)value_len;
    return (int64_t)p2p__ip6_format(value, out);
}

const struct ma_kind p2p__ma_ip4 = {"an IPv4 address", NULL, parse_ip4, format_ip4};
const struct ma_kind p2p__ma_ip6 = {"an IPv6 address", NULL, parse_ip6, format_ip6};

/* --- names and paths ----------------------------------------------------------------------- */

static int64_t parse_verbatim(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    if (text_len > out_cap)
        return P2P_ETOOBIG;
    memcpy(out, text, text_len);
    return (int64_t)text_len;
}

static int64_t format_verbatim(const uint8_t *value, size_t value_len, char *out)
{
    memcpy(out, value, value_len);
    out[value_len] = '\0';
    return (int64_t)value_len;
}

static bool check_name(const uint8_t *value, size_t value_len)
{
    return value_len > 0 && value_len <= NAME_MAX_LEN && !memchr(value, '/', value_len) &&
           p2p__utf8_printable(value, value_len);
}

/* A path runs to the end of the text, but for a peer id behind it: /unix/run/node.sock/p2p/PEER. */
size_t p2p__ma_path_len(const char *text, size_t text_len)
{
    char peer[P2P_PEER_ID_TEXT_MAX];
    p2p_peer_id id;
    size_t at = text_len;
    while (at > 0 && text[at - 1] != '/')
        at--;
    size_t peer_len = text_len - at;
    if (at < 6 || memcmp(text + at - 5, "/p2p/", 5) != 0 || peer_len >= sizeof(peer))
        return text_len;
    memcpy(peer, text + at, peer_len);
    peer[peer_len] = '\0';
    return p2p_peer_id_parse(peer, &id) == 0 ? at - 5 : text_len;
}

/* The value has the leading slash that the text shares with the component's separator. */
static bool check_path(const uint8_t *value, size_t value_len)
{
    return value_len >= 2 && value[0] == '/' && value[value_len - 1] != '/' &&
           p2p__utf8_printable(value, value_len) &&
           p2p__ma_path_len((const char *)value, value_len) == value_len;
}

const struct ma_kind p2p__ma_name = {"a name of 1 to 255 bytes without control characters",
                                     check_name, parse_verbatim, format_verbatim};
const struct ma_kind p2p__ma_path = {"a path", check_path, parse_verbatim, format_verbatim};

/* http-path: one segment-nz of RFC 3986. All but the unreserved characters are escaped, since
 * deployed readers take '+' for a space; when reading, any pchar stands for itself. */

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-._~", c));
}

static bool is_pchar(uint8_t c)
{
    return is_unreserved(c) || (c != 0 && strchr("!$&'()*+,;=:@", c));
}

static int64_t parse_http_path(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    size_t n = 0;
    for (size_t at = 0; at < text_len; at++) {
        if (n == out_cap)
            return P2P_ETOOBIG;
        if (text[at] == '%') {
            if (text_len - at < 3 || p2p__base_decode('f', text + at + 1, 2, out + n, 1) != 1)
                return P2P_EADDR;
            at += 2;
        } else {
            if (!is_pchar((uint8_t)text[at]))
                return P2P_EADDR;
            out[n] = (uint8_t)text[at];
        }
        n++;
    }
    return (int64_t)n;
}

static int64_t format_http_path(const uint8_t *value, size_t value_len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < value_len; i++) {
        if (is_unreserved(value[i])) {
            out[n++] = (char)value[i];
        } else {
            out[n++] = '%';
            n += (size_t)p2p__base_encode('F', value + i, 1, out + n, 3);
        }
    }
    out[n] = '\0';
    return (int64_t)n;
}

static bool check_not_empty(const uint8_t *value, size_t value_len)
{
    (void)value;
    return value_len > 0;
}

const struct ma_kind p2p__ma_http_path = {"a percent-encoded path", check_not_empty,
                                          parse_http_path, format_http_path};

/* --- hashes -------------------------------------------------------------------------------- */

/* peer-ids: what begins with 1 or Qm is a base58btc multihash, all else a CIDv1 of a key. */
static int64_t parse_peer(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    if (text_len > 0 && (text[0] == '1' || (text_len > 1 && memcmp(text, "Qm", 2) == 0)))
        return p2p__base58_decode(text, text_len, out, out_cap);
    uint8_t bytes[P2P__CID_MAX];
    struct cid cid;
    int err = p2p__cid_parse(text, text_len, bytes, &cid);
    if (err < 0)
        return err;
    if (cid.version != 1 || cid.codec != P2P__CODEC_LIBP2P_KEY)
        return P2P_EADDR;
    return p2p__multihash_encode(cid.hash.code, cid.hash.digest, cid.hash.digest_len, out, out_cap);
}

static int64_t format_peer(const uint8_t *value, size_t value_len, char *out)
{
    return p2p__base58_encode(value, value_len, out, P2P__MA_VALUE_TEXT_MAX);
}

static bool check_certhash(const uint8_t *value, size_t value_len)
{
    struct multihash hash;
    return p2p__multihash_parse(value, value_len, &hash) == 0;
}

static int64_t parse_certhash(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    return p2p__multibase_decode(text, text_len, out, out_cap, NULL);
}

static int64_t format_certhash(const uint8_t *value, size_t value_len, char *out)
{
    return p2p__multibase_encode('u', value, value_len, out, P2P__MA_VALUE_TEXT_MAX);
}

const struct ma_kind p2p__ma_peer = {"a peer id", p2p__multihash_is_peer_id, parse_peer,
                                     format_peer};
const struct ma_kind p2p__ma_certhash = {"a multihash in multibase", check_certhash, parse_certhash,
                                         format_certhash};

/* --- onion and garlic ---------------------------------------------------------------------- */

/* base32 host, a colon, a port that is not 0. */
static int64_t parse_onion_of(size_t host_len, const char *text, size_t text_len, uint8_t *out)
{
    const char *colon = memchr(text, ':', text_len);
    if (!colon)
        return P2P_EADDR;
    size_t chars = (size_t)(colon - text);
    if (p2p__base_decode('b', text, chars, out, host_len) != (int64_t)host_len ||
        parse_port(colon + 1, text_len - chars - 1, out + host_len, 2) < 0)
        return P2P_EADDR;
    return (int64_t)host_len + 2;
}

static bool check_onion(const uint8_t *value, size_t value_len)
{
    return value_len > 2 && load_be(value + value_len - 2, 2) != 0;
}

static int64_t format_onion(const uint8_t *value, size_t value_len, char *out)
{
    size_t host_len = value_len - 2;
    int64_t n = p2p__base_encode('b', value, host_len, out, P2P__MA_VALUE_TEXT_MAX);
    return n + snprintf(out + n, sizeof(":65535"), ":%u", (unsigned)load_be(value + host_len, 2));
}

static int64_t parse_onion(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    (void)out_cap;
    return parse_onion_of(10, text, text_len, out);
}

static int64_t parse_onion3(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    (void)out_cap;
    return parse_onion_of(35, text, text_len, out);
}

/* I2P's base64 has '-' and '~' where the standard has '+' and '/'. */
static void swap_digits(char *text, size_t text_len, const char from[2], const char to[2])
{
    for (size_t i = 0; i < text_len; i++) {
        if (text[i] == from[0])
            text[i] = to[0];
        else if (text[i] == from[1])
            text[i] = to[1];
    }
}

static int64_t parse_garlic64(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    char copy[P2P_MULTIADDR_TEXT_MAX];
    if (text_len > sizeof(copy))
        return P2P_ETOOBIG;
    if (memchr(text, '+', text_len))
        return P2P_EADDR;
    memcpy(copy, text, text_len);
    swap_digits(copy, text_len, "-~", "+/");
    return p2p__base_decode('M', copy, text_len, out, out_cap);
}

static int64_t format_garlic64(const uint8_t *value, size_t value_len, char *out)
{
    int64_t n = p2p__base_encode('M', value, value_len, out, P2P__MA_VALUE_TEXT_MAX);
    if (n > 0)
        swap_digits(out, (size_t)n, "+/", "-~");
    return n;
}

/* A destination is a 384-byte key and a certificate of at least 3 bytes; deployed code asks for
 * 386. */
static bool check_garlic64(const uint8_t *value, size_t value_len)
{
    (void)value;
    return value_len >= 386;
}

/* Here deployed readers ignore spare bits, and known addresses have some. */
static int64_t parse_garlic32(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    char copy[P2P_MULTIADDR_TEXT_MAX];
    if (text_len == 0 || text_len > sizeof(copy))
        return P2P_EADDR;
    memcpy(copy, text, text_len);
    const char *last = memchr(digits, copy[text_len - 1], 32);
    if (last) {
        size_t spare = text_len * 5 % 8;
        copy[text_len - 1] = digits[(size_t)(last - digits) >> spare << spare];
    }
    return p2p__base_decode('b', copy, text_len, out, out_cap);
}

static int64_t format_garlic32(const uint8_t *value, size_t value_len, char *out)
{
    return p2p__base_encode('b', value, value_len, out, P2P__MA_VALUE_TEXT_MAX);
}

/* A hash is 32 bytes, an encrypted leaseset's name at least 35. */
static bool check_garlic32(const uint8_t *value, size_t value_len)
{
    (void)value;
    return value_len == 32 || value_len >= 35;
}

const struct ma_kind p2p__ma_onion = {"16 base32 characters, a colon and a port", check_onion,
                                      parse_onion, format_onion};
const struct ma_kind p2p__ma_onion3 = {"56 base32 characters, a colon and a port", check_onion,
                                       parse_onion3, format_onion};
const struct ma_kind p2p__ma_garlic64 = {"an I2P base64 destination", check_garlic64,
                                         parse_garlic64, format_garlic64};
const struct ma_kind p2p__ma_garlic32 = {"an I2P base32 address", check_garlic32, parse_garlic32,
                                         format_garlic32};
