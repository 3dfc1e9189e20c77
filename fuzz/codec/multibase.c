/* The first byte picks a base. As text: what decodes encodes to the same text (but for letter
 * case). As bytes: every base gives them back. CIDs likewise. */
#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "codec/cid.h"
#include "codec/multibase.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char bases[] = "fFbBcCvVtTkKzZmMuU";

static void check_text(const char *text, size_t text_len)
{
    uint8_t bytes[2048];
    char again[4200];
    char base;
    int64_t n = p2p__multibase_decode(text, text_len, bytes, sizeof(bytes), &base);
    if (n < 0)
        return;
    assert((size_t)n <= sizeof(bytes) && base == text[0]);
    if (strchr("kKzZ", base) && base && n > P2P__BASE_QUADRATIC_MAX)
        return;
    assert(p2p__multibase_encode(base, bytes, (size_t)n, again, sizeof(again)) ==
           (int64_t)text_len);
    for (size_t i = 0; i < text_len; i++) {
        bool any_case = base && strchr("fFbBcCvVtTkK", base);
        assert(again[i] == text[i] ||
               (any_case && i > 0 &&
                tolower((unsigned char)again[i]) == tolower((unsigned char)text[i])));
    }
}

static void check_bytes(char base, const uint8_t *bytes, size_t len)
{
    char text[4200];
    uint8_t back[2048];
    int64_t n = p2p__multibase_encode(base, bytes, len, text, sizeof(text));
    assert(n > 0 && (size_t)n < sizeof(text) && text[n] == '\0');
    assert(p2p__multibase_decode(text, (size_t)n, back, len, NULL) == (int64_t)len);
    assert(len == 0 || memcmp(back, bytes, len) == 0);
}

static void check_cid(const uint8_t *data, size_t size)
{
    struct cid cid;
    uint8_t bytes[P2P__CID_MAX];
    uint8_t again[P2P__CID_MAX];
    char text[P2P__CID_TEXT_MAX];
    if (p2p__cid_decode(data, size, &cid) == 0) {
        assert(p2p__cid_encode(&cid, bytes, sizeof(bytes)) == (int)size);
        assert(memcmp(bytes, data, size) == 0);
    } else if (p2p__cid_parse((const char *)data, size, bytes, &cid) < 0) {
        return;
    }
    int len = p2p__cid_encode(&cid, bytes, sizeof(bytes));
    int64_t n = p2p__cid_format(&cid, 'f', text, sizeof(text));
    assert(len > 0 && n > 0);
    assert(p2p__cid_parse(text, (size_t)n, again, &cid) == 0);
    assert(p2p__cid_encode(&cid, again, sizeof(again)) == len);
    assert(memcmp(again, bytes, (size_t)len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > P2P__BASE_QUADRATIC_MAX)
        return 0;
    check_text((const char *)data, size);
    check_bytes(bases[data[0] % (sizeof(bases) - 1)], data + 1, size - 1);
    check_cid(data, size);
    return 0;
}
