/* A peer as it comes back from a store, and what it becomes when it is written again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/peer_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[65536];
    struct peer_value value, again;
    if (p2p__peer_value_decode(data, size, &value) < 0)
        return 0;
    size_t len = p2p__peer_value_encode(&value, bytes, sizeof(bytes));
    if (p2p__peer_value_decode(bytes, len, &again) < 0 || again.count > value.count ||
        again.record_seq != value.record_seq || again.note_count > value.note_count ||
        again.said.protocol_count > value.said.protocol_count)
        abort();
    for (size_t i = 0; i < again.count; i++)
        if (again.addrs[i].len != value.addrs[i].len ||
            memcmp(again.addrs[i].bytes, value.addrs[i].bytes, value.addrs[i].len) != 0 ||
            again.addrs[i].expires_s != value.addrs[i].expires_s ||
            again.addrs[i].learned != value.addrs[i].learned)
            abort();
    return 0;
}
