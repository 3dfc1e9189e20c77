#include "host/peer_value.h"

#include "codec/protobuf.h"

enum {
    FIELD_RECORD_SEQ = 1,
    FIELD_ADDR = 2,
    ADDR_BYTES = 1,
    ADDR_EXPIRES = 2,
    ADDR_LEARNED = 3,
};

static int decode_addr(struct pb_in in, struct peer_value_addr *out)
{
    struct pb_field field;
    int rc;
    *out = (struct peer_value_addr){0};
    while ((rc = p2p__pb_next(&in, &field)) > 0) {
        if (p2p__pb_is(&field, ADDR_BYTES, PB_LEN)) {
            out->bytes = field.bytes;
            out->len = field.bytes_len;
        } else if (p2p__pb_is(&field, ADDR_EXPIRES, PB_VARINT)) {
            out->expires_s = field.value;
        } else if (p2p__pb_is(&field, ADDR_LEARNED, PB_VARINT)) {
            out->learned = field.value != 0;
        }
    }
    return rc;
}

int p2p__peer_value_decode(const uint8_t *in, size_t in_len, struct peer_value *out)
{
    struct pb_in left = p2p__pb_in(in, in_len);
    struct pb_field field;
    int rc;
    out->record_seq = 0;
    out->count = 0;
    while ((rc = p2p__pb_next(&left, &field)) > 0) {
        if (p2p__pb_is(&field, FIELD_RECORD_SEQ, PB_VARINT)) {
            out->record_seq = field.value;
        } else if (p2p__pb_is(&field, FIELD_ADDR, PB_LEN) && out->count < PEER_VALUE_ADDRS_MAX) {
            struct peer_value_addr *addr = &out->addrs[out->count];
            rc = decode_addr(p2p__pb_sub(&field), addr);
            if (rc < 0)
                return rc;
            out->count += addr->len > 0;
        }
    }
    return rc;
}

size_t p2p__peer_value_encode(const struct peer_value *self, uint8_t *out, size_t out_cap)
{
    struct pb_out to = p2p__pb_out(out, out_cap);
    p2p__pb_put_varint(&to, FIELD_RECORD_SEQ, self->record_seq);
    for (size_t i = 0; i < self->count && !to.overflow; i++) {
        const struct peer_value_addr *addr = &self->addrs[i];
        size_t before = to.len;
        size_t mark = p2p__pb_begin(&to, FIELD_ADDR);
        p2p__pb_put_bytes(&to, ADDR_BYTES, addr->bytes, addr->len);
        p2p__pb_put_varint(&to, ADDR_EXPIRES, addr->expires_s);
        p2p__pb_put_varint(&to, ADDR_LEARNED, addr->learned);
        p2p__pb_end(&to, mark);
        if (to.overflow)
            to.len = before;
    }
    return to.len;
}
