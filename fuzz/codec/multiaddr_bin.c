/* What decodes is walked to its end, formats to clean text, and parses back to the same bytes. */
#include <assert.h>
#include <string.h>

#include <p2p/multiaddr.h>

#include "codec/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const p2p_multiaddr *addr)
{
    char text[P2P_MULTIADDR_TEXT_MAX];
    p2p_multiaddr back;
    int64_t n = p2p_multiaddr_format(addr, text, sizeof(text));
    assert(n > 0 && n < P2P_MULTIADDR_TEXT_MAX && strlen(text) == (size_t)n);
    assert(p2p__utf8_printable(text, (size_t)n));
    assert(p2p_multiaddr_parse(text, &back) == 0);
    assert(back.len == addr->len && memcmp(back.bytes, addr->bytes, addr->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    p2p_multiaddr addr;
    if (p2p_multiaddr_decode(data, size, &addr) != 0)
        return 0;
    assert(addr.len == size && memcmp(addr.bytes, data, size) == 0);
    check_text(&addr);

    size_t components = 0;
    size_t offset = 0;
    size_t last = 0;
    p2p_multiaddr_component component;
    int more;
    for (size_t at = 0; (more = p2p_multiaddr_next(&addr, &offset, &component)) == 1; at = offset) {
        assert(offset > at && component.value + component.value_len == addr.bytes + offset);
        components++;
        last = at;
    }
    assert(more == 0 && offset == size && components <= P2P_MULTIADDR_COMPONENTS_MAX);

    /* The last component comes off and goes on again. */
    p2p_multiaddr tail;
    assert(p2p_multiaddr_decode(addr.bytes + last, addr.len - last, &tail) == 0);
    assert(p2p_multiaddr_decapsulate(&addr, &tail) == 0 && addr.len == last);
    assert(p2p_multiaddr_encapsulate(&addr, &tail) == 0);
    assert(addr.len == size && memcmp(addr.bytes, data, size) == 0);
    return 0;
}
