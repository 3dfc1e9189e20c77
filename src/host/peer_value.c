#include "host/peer_value.h"

#include <string.h>

#include "codec/protobuf.h"

enum {
    FIELD_RECORD_SEQ = 1,
    FIELD_ADDR = 2,
    FIELD_AGENT = 3,
    FIELD_PROTOCOL_VERSION = 4,
    FIELD_PROTOCOL = 5,
    FIELD_PUBLIC_KEY = 6,
    FIELD_RECORD = 7,
    FIELD_NOTE = 8,
    FIELD_LASTED = 9,
    ADDR_BYTES = 1,
    ADDR_EXPIRES = 2,
    ADDR_LEARNED = 3,
    NOTE_NAME = 1,
    NOTE_BYTES = 2,
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

static int decode_note(struct pb_in in, struct peer_value_note *out)
{
    struct pb_field field;
    int rc;
    *out = (struct peer_value_note){0};
    while ((rc = p2p__pb_next(&in, &field)) > 0) {
        if (p2p__pb_is(&field, NOTE_NAME, PB_LEN))
            out->name = (struct p2p__const_iov){field.bytes, field.bytes_len};
        else if (p2p__pb_is(&field, NOTE_BYTES, PB_LEN))
            out->bytes = (struct p2p__const_iov){field.bytes, field.bytes_len};
    }
    return rc;
}

static void decode_said(const struct pb_field *field, struct identity_parts *out)
{
    struct p2p__const_iov bytes = {field->bytes, field->bytes_len};
    if (field->wire != PB_LEN)
        return;
    switch (field->number) {
    case FIELD_AGENT:
        out->agent = bytes;
        break;
    case FIELD_PROTOCOL_VERSION:
        out->protocol_version = bytes;
        break;
    case FIELD_PROTOCOL:
        p2p__identity_add_protocol(out, bytes);
        break;
    case FIELD_PUBLIC_KEY:
        out->public_key = bytes;
        break;
    case FIELD_RECORD:
        out->record = bytes;
        break;
    }
}

int p2p__peer_value_decode(const uint8_t *in, size_t in_len, struct peer_value *out)
{
    struct pb_in left = p2p__pb_in(in, in_len);
    struct pb_field field;
    int rc;
    out->record_seq = out->lasted_s = 0;
    out->count = out->note_count = 0;
    memset(&out->said, 0, sizeof(out->said));
    while ((rc = p2p__pb_next(&left, &field)) > 0) {
        if (p2p__pb_is(&field, FIELD_RECORD_SEQ, PB_VARINT)) {
            out->record_seq = field.value;
        } else if (p2p__pb_is(&field, FIELD_LASTED, PB_VARINT)) {
            out->lasted_s = field.value;
        } else if (p2p__pb_is(&field, FIELD_ADDR, PB_LEN) && out->count < PEER_VALUE_ADDRS_MAX) {
            struct peer_value_addr *addr = &out->addrs[out->count];
            rc = decode_addr(p2p__pb_sub(&field), addr);
            if (rc < 0)
                return rc;
            out->count += addr->len > 0;
        } else if (p2p__pb_is(&field, FIELD_NOTE, PB_LEN) &&
                   out->note_count < PEER_VALUE_NOTES_MAX) {
            rc = decode_note(p2p__pb_sub(&field), &out->notes[out->note_count]);
            if (rc < 0)
                return rc;
            out->note_count++;
        } else {
            decode_said(&field, &out->said);
        }
    }
    return rc;
}

static void put(struct pb_out *to, uint32_t number, struct p2p__const_iov bytes)
{
    if (bytes.len)
        p2p__pb_put_bytes(to, number, bytes.base, bytes.len);
}

static void encode_said(const struct identity_parts *said, struct pb_out *to)
{
    put(to, FIELD_AGENT, said->agent);
    put(to, FIELD_PROTOCOL_VERSION, said->protocol_version);
    for (size_t i = 0; i < said->protocol_count; i++)
        put(to, FIELD_PROTOCOL, said->protocols[i]);
    put(to, FIELD_PUBLIC_KEY, said->public_key);
    put(to, FIELD_RECORD, said->record);
}

size_t p2p__peer_value_encode(const struct peer_value *self, uint8_t *out, size_t out_cap)
{
    struct pb_out to = p2p__pb_out(out, out_cap);
    p2p__pb_put_varint(&to, FIELD_RECORD_SEQ, self->record_seq);
    if (self->lasted_s)
        p2p__pb_put_varint(&to, FIELD_LASTED, self->lasted_s);
    encode_said(&self->said, &to);
    for (size_t i = 0; i < self->note_count; i++) {
        size_t mark = p2p__pb_begin(&to, FIELD_NOTE);
        p2p__pb_put_bytes(&to, NOTE_NAME, self->notes[i].name.base, self->notes[i].name.len);
        p2p__pb_put_bytes(&to, NOTE_BYTES, self->notes[i].bytes.base, self->notes[i].bytes.len);
        p2p__pb_end(&to, mark);
    }
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
