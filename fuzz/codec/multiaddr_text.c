/* Any text either parses to an address whose text is stable, or is refused with a printable
 * sentence. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/multiaddr.h>

#include "codec/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
    char why[200];
    p2p_multiaddr addr;
    int err = p2p_multiaddr_parse_why(text, &addr, why, sizeof(why));
    if (err < 0) {
        size_t why_len = strlen(why);
        assert(err == P2P_EADDR && why_len > 0);
        /* A cut may split a character at the end. */
        assert(why_len == sizeof(why) - 1 || p2p__utf8_printable(why, why_len));
        return;
    }
    assert(why[0] == '\0');
    p2p_multiaddr decoded;
    assert(p2p_multiaddr_decode(addr.bytes, addr.len, &decoded) == 0);
    char first[P2P_MULTIADDR_TEXT_MAX];
    char second[P2P_MULTIADDR_TEXT_MAX];
    assert(p2p_multiaddr_format(&addr, first, sizeof(first)) > 0);
    p2p_multiaddr back;
    assert(p2p_multiaddr_parse(first, &back) == 0);
    assert(back.len == addr.len && memcmp(back.bytes, addr.bytes, addr.len) == 0);
    assert(p2p_multiaddr_format(&back, second, sizeof(second)) > 0);
    assert(strcmp(first, second) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    assert(text);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check(text);
    free(text);
    return 0;
}
