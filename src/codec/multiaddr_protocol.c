#include "codec/multiaddr_protocol.h"

#include <string.h>

#define VARIABLE P2P__MA_VARIABLE

/* Sizes from protocols.csv, there in bits. memory is listed as variable, but what is deployed is a
 * plain big-endian u64. */
static const struct ma_protocol protocols[] = {
    {"ip4", P2P_MA_IP4, 4, &p2p__ma_ip4, false},
    {"tcp", P2P_MA_TCP, 2, &p2p__ma_port, false},
    {"udp", P2P_MA_UDP, 2, &p2p__ma_port, false},
    {"ip6", P2P_MA_IP6, 16, &p2p__ma_ip6, false},
    {"p2p", P2P_MA_P2P, VARIABLE, &p2p__ma_peer, false},
    {"quic-v1", P2P_MA_QUIC_V1, 0, NULL, false},
    {"quic", P2P_MA_QUIC, 0, NULL, false},
    {"p2p-circuit", P2P_MA_P2P_CIRCUIT, 0, NULL, false},
    {"dns", P2P_MA_DNS, VARIABLE, &p2p__ma_name, false},
    {"dns4", P2P_MA_DNS4, VARIABLE, &p2p__ma_name, false},
    {"dns6", P2P_MA_DNS6, VARIABLE, &p2p__ma_name, false},
    {"dnsaddr", P2P_MA_DNSADDR, VARIABLE, &p2p__ma_name, false},
    {"tls", P2P_MA_TLS, 0, NULL, false},
    {"sni", P2P_MA_SNI, VARIABLE, &p2p__ma_name, false},
    {"noise", P2P_MA_NOISE, 0, NULL, false},
    {"ws", P2P_MA_WS, 0, NULL, false},
    {"wss", P2P_MA_WSS, 0, NULL, false},
    {"webtransport", P2P_MA_WEBTRANSPORT, 0, NULL, false},
    {"webrtc-direct", P2P_MA_WEBRTC_DIRECT, 0, NULL, false},
    {"webrtc", P2P_MA_WEBRTC, 0, NULL, false},
    {"certhash", P2P_MA_CERTHASH, VARIABLE, &p2p__ma_certhash, false},
    {"http", P2P_MA_HTTP, 0, NULL, false},
    {"https", P2P_MA_HTTPS, 0, NULL, false},
    {"http-path", P2P_MA_HTTP_PATH, VARIABLE, &p2p__ma_http_path, false},
    {"unix", P2P_MA_UNIX, VARIABLE, &p2p__ma_path, true},
    {"memory", P2P_MA_MEMORY, 8, &p2p__ma_memory, false},
    {"ip6zone", P2P_MA_IP6ZONE, VARIABLE, &p2p__ma_name, false},
    {"ipcidr", P2P_MA_IPCIDR, 1, &p2p__ma_cidr, false},
    {"dccp", P2P_MA_DCCP, 2, &p2p__ma_port, false},
    {"sctp", P2P_MA_SCTP, 2, &p2p__ma_port, false},
    {"udt", P2P_MA_UDT, 0, NULL, false},
    {"utp", P2P_MA_UTP, 0, NULL, false},
    {"onion", P2P_MA_ONION, 12, &p2p__ma_onion, false},
    {"onion3", P2P_MA_ONION3, 37, &p2p__ma_onion3, false},
    {"garlic64", P2P_MA_GARLIC64, VARIABLE, &p2p__ma_garlic64, false},
    {"garlic32", P2P_MA_GARLIC32, VARIABLE, &p2p__ma_garlic32, false},
    {"p2p-webrtc-star", P2P_MA_P2P_WEBRTC_STAR, 0, NULL, false},
    {"p2p-webrtc-direct", P2P_MA_P2P_WEBRTC_DIRECT, 0, NULL, false},
    {"p2p-stardust", P2P_MA_P2P_STARDUST, 0, NULL, false},
    {"p2p-websocket-star", P2P_MA_P2P_WEBSOCKET_STAR, 0, NULL, false},
    {"plaintextv2", P2P_MA_PLAINTEXTV2, 0, NULL, false},
};

#define PROTOCOL_COUNT (sizeof(protocols) / sizeof(protocols[0]))

const struct ma_protocol *p2p__multiaddr_protocol_by_code(uint64_t code)
{
    for (size_t i = 0; i < PROTOCOL_COUNT; i++) {
        if (protocols[i].code == code)
            return &protocols[i];
    }
    return NULL;
}

const struct ma_protocol *p2p__multiaddr_protocol_by_name(const char *name, size_t name_len)
{
    if (name_len == 4 && memcmp(name, "ipfs", 4) == 0)
        return p2p__multiaddr_protocol_by_code(P2P_MA_P2P);
    for (size_t i = 0; i < PROTOCOL_COUNT; i++) {
        if (strlen(protocols[i].name) == name_len && memcmp(protocols[i].name, name, name_len) == 0)
            return &protocols[i];
    }
    return NULL;
}

bool p2p__multiaddr_value_ok(const struct ma_protocol *protocol, const uint8_t *value,
                             size_t value_len)
{
    if (protocol->size != P2P__MA_VARIABLE && (size_t)protocol->size != value_len)
        return false;
    return !protocol->kind || !protocol->kind->check || protocol->kind->check(value, value_len);
}
