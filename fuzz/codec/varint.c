/* Both varints and frames: what is accepted is in bounds and re-encodes to the same bytes, and no
 * verdict changes when more bytes arrive. */
#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/varint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_varint(const uint8_t *data, size_t size)
{
    uint64_t value;
    uint8_t again[P2P__PB_VARINT_MAX];
    int used = p2p__varint_decode(data, size, &value);
    if (used > 0) {
        assert((size_t)used <= size && used <= P2P__VARINT_MAX && value <= INT64_MAX);
        assert(p2p__varint_encode(value, again) == (size_t)used);
        assert(memcmp(again, data, (size_t)used) == 0);
        assert((size_t)used == p2p__varint_len(value));
    }
    assert(used >= 0 || used == P2P_EPROTO);
    assert(used != 0 || size < P2P__VARINT_MAX);
    uint64_t pb_value;
    int pb_used = p2p__pb_varint_decode(data, size, &pb_value);
    if (used > 0)
        assert(pb_used == used && pb_value == value);
    if (pb_used > 0)
        assert(p2p__varint_len(pb_value) <= (size_t)pb_used);
    assert(pb_used != 0 || size < P2P__PB_VARINT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_varint(data, size);
    const uint8_t *body = NULL;
    size_t body_len = 0;
    int64_t verdict = 0;
    for (size_t have = 0; have <= size; have++) {
        int64_t used = p2p__frame_decode(data, have, 300, &body, &body_len);
        assert(verdict == 0 || used == verdict);
        verdict = used;
        if (used > 0) {
            assert((size_t)used <= have && body_len <= 300);
            assert(body + body_len == data + used);
        }
    }
    return 0;
}
