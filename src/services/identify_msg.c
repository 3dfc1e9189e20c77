#include "services/identify_msg.h"

#include <string.h>

#include "codec/protobuf.h"
#include "codec/varint.h"

enum {
    FIELD_PUBLIC_KEY = 1,
    FIELD_LISTEN_ADDR = 2,
    FIELD_PROTOCOL = 3,
    FIELD_OBSERVED_ADDR = 4,
    FIELD_PROTOCOL_VERSION = 5,
    FIELD_AGENT_VERSION = 6,
    FIELD_SIGNED_RECORD = 8,

    FIELDS_BEFORE_LISTS = 4, /* of ours */
    PREFIX_LEN = 2,          /* of a part below 16 KiB */
};

/* ---- ours ---- */

static struct p2p__const_iov text_iov(const char *text)
{
    return (struct p2p__const_iov){(const uint8_t *)text, text ? strlen(text) : 0};
}

/* The nth field, in the order in which they are written; 0 past the end. */
static uint32_t own_field(const struct identify_own *own, size_t nth, struct p2p__const_iov *out)
{
    *out = (struct p2p__const_iov){0};
    switch (nth) {
    case 0:
        *out = own->public_key;
        return FIELD_PUBLIC_KEY;
    case 1:
        *out = text_iov(own->protocol_version);
        return FIELD_PROTOCOL_VERSION;
    case 2:
        *out = text_iov(own->agent);
        return FIELD_AGENT_VERSION;
    case 3:
        *out = own->observed;
        return FIELD_OBSERVED_ADDR;
    }
    nth -= FIELDS_BEFORE_LISTS;
    if (nth < own->addr_count) {
        *out = own->addrs[nth];
        return FIELD_LISTEN_ADDR;
    }
    nth -= own->addr_count;
    if (nth < own->protocol_count) {
        *out = text_iov(own->protocols[nth]);
        return FIELD_PROTOCOL;
    }
    nth -= own->protocol_count;
    /* Last, as in go-libp2p, whose second part it is if there is one. */
    *out = own->record;
    return nth == 0 ? FIELD_SIGNED_RECORD : 0;
}

size_t p2p__identify_encode(const struct identify_own *own, struct identify_cursor *cursor,
                            uint8_t out[IDENTIFY_OWN_PART_MAX])
{
    if (cursor->parts == IDENTIFY_PARTS_MAX - 1) {
        size_t record = FIELDS_BEFORE_LISTS + own->addr_count + own->protocol_count;
        cursor->next = cursor->next < record ? record : cursor->next;
    }
    struct pb_out pb = p2p__pb_out(out, IDENTIFY_OWN_PART_MAX);
    size_t mark = p2p__pb_frame_begin(&pb);
    struct p2p__const_iov value;
    uint32_t number;
    for (; (number = own_field(own, cursor->next, &value)) != 0; cursor->next++) {
        size_t size = p2p__pb_bytes_size(number, value.len);
        if (value.len == 0 || size > IDENTIFY_OWN_PART_MAX - PREFIX_LEN)
            continue;
        if (pb.len + size > IDENTIFY_OWN_PART_MAX - PREFIX_LEN)
            break;
        p2p__pb_put_bytes(&pb, number, value.base, value.len);
    }
    if (pb.len == 0)
        return 0;
    p2p__pb_frame_end(&pb, mark);
    cursor->parts++;
    return pb.len;
}

/* ---- a peer's ---- */

int p2p__identify_check(const uint8_t *in, size_t in_len, bool ended)
{
    size_t parts = 0;
    while (in_len > 0) {
        const uint8_t *part;
        size_t part_len;
        if (parts++ == IDENTIFY_PARTS_MAX)
            return P2P_ETOOBIG;
        int64_t used = p2p__frame_decode(in, in_len, IDENTIFY_PART_MAX, &part, &part_len);
        if (used < 0)
            return (int)used;
        if (used == 0)
            return ended ? P2P_ETRUNCATED : 0;
        in += used;
        in_len -= (size_t)used;
    }
    return ended && parts == 0 ? P2P_ETRUNCATED : 0;
}

static struct p2p__const_iov field_iov(const struct pb_field *field)
{
    return (struct p2p__const_iov){field->bytes, field->bytes_len};
}

static void add_field(struct identity_parts *out, const struct pb_field *field,
                      const p2p_peer_id *peer)
{
    if (field->wire != PB_LEN)
        return;
    switch (field->number) {
    case FIELD_PUBLIC_KEY:
        out->public_key = field_iov(field);
        break;
    case FIELD_LISTEN_ADDR:
        out->any_addrs = true;
        p2p__identity_add_addr(out, field_iov(field), peer);
        break;
    case FIELD_PROTOCOL:
        out->any_protocols = true;
        p2p__identity_add_protocol(out, field_iov(field));
        break;
    case FIELD_OBSERVED_ADDR:
        out->observed = field_iov(field);
        break;
    case FIELD_PROTOCOL_VERSION:
        out->protocol_version = field_iov(field);
        break;
    case FIELD_AGENT_VERSION:
        out->agent = field_iov(field);
        break;
    case FIELD_SIGNED_RECORD:
        out->record = field_iov(field);
        break;
    }
}

int p2p__identify_decode(const uint8_t *in, size_t in_len, const p2p_peer_id *peer,
                         struct identity_parts *out)
{
    memset(out, 0, sizeof(*out));
    int rc = p2p__identify_check(in, in_len, true);
    if (rc < 0)
        return rc;
    while (in_len > 0) {
        struct pb_in part = {0};
        struct pb_field field;
        int64_t used = p2p__frame_decode(in, in_len, IDENTIFY_PART_MAX, &part.at, &part.left);
        while ((rc = p2p__pb_next(&part, &field)) > 0)
            add_field(out, &field, peer);
        if (rc < 0)
            return rc;
        in += used;
        in_len -= (size_t)used;
    }
    if (out->public_key.base) {
        p2p_peer_id claimed;
        rc = p2p_peer_id_from_public_key(out->public_key.base, out->public_key.len, &claimed);
        if (rc == 0 && !p2p_peer_id_equal(&claimed, peer))
            rc = P2P_EPEERID;
    }
    p2p_multiaddr observed;
    if (out->observed.base &&
        p2p_multiaddr_decode(out->observed.base, out->observed.len, &observed) < 0)
        out->observed = (struct p2p__const_iov){0};
    /* One that is no record of this peer's is as good as none. */
    if (rc == 0)
        (void)p2p__identity_take_record(out, peer);
    return rc;
}
