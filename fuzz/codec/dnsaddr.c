/* Any TXT record is of something else, refused, or an address whose own record decodes to it. */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "codec/dnsaddr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char prefix[] = P2P__DNSADDR_PREFIX;
    const size_t prefix_len = sizeof(prefix) - 1;
    p2p_multiaddr addr = {.len = 0}, back;
    int rc = p2p__dnsaddr_decode(data, size, &addr);
    bool of_ours = size >= prefix_len && memcmp(data, prefix, prefix_len) == 0;
    assert(of_ours == (rc != P2P_ENOENT));
    if (rc < 0) {
        assert((rc == P2P_ENOENT || rc == P2P_EADDR) && addr.len == 0);
        return 0;
    }
    assert(size <= P2P__DNSADDR_TXT_MAX && addr.len > 0);
    assert(p2p_multiaddr_decode(addr.bytes, addr.len, &back) == 0);
    char text[sizeof(prefix) + P2P_MULTIADDR_TEXT_MAX];
    memcpy(text, prefix, sizeof(prefix));
    int64_t len = p2p_multiaddr_format(&addr, text + prefix_len, P2P_MULTIADDR_TEXT_MAX);
    assert(len > 0);
    /* Its canonical text may be longer than the one it came from. */
    if (prefix_len + (size_t)len > P2P__DNSADDR_TXT_MAX)
        return 0;
    rc = p2p__dnsaddr_decode((const uint8_t *)text, prefix_len + (size_t)len, &back);
    assert(rc == 0 && back.len == addr.len && memcmp(back.bytes, addr.bytes, addr.len) == 0);
    return 0;
}
