#include "codec/dnsaddr.h"

#include <string.h>

int p2p__dnsaddr_decode(const uint8_t *txt, size_t txt_len, p2p_multiaddr *out)
{
    static const size_t prefix_len = sizeof(P2P__DNSADDR_PREFIX) - 1;
    char text[P2P__DNSADDR_TXT_MAX + 1];
    if (txt_len < prefix_len || memcmp(txt, P2P__DNSADDR_PREFIX, prefix_len) != 0)
        return P2P_ENOENT;
    size_t len = txt_len - prefix_len;
    if (txt_len > P2P__DNSADDR_TXT_MAX || memchr(txt, '\0', txt_len))
        return P2P_EADDR;
    memcpy(text, txt + prefix_len, len);
    text[len] = '\0';
    p2p_multiaddr addr;
    int rc = p2p_multiaddr_parse(text, &addr);
    if (rc < 0 || addr.len == 0)
        return rc < 0 ? rc : P2P_EADDR;
    *out = addr;
    return 0;
}
