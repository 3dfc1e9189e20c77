#include <p2p/multiaddr.h>

#include <assert.h>
#include <string.h>

#include "codec/multiaddr_protocol.h"
#include "codec/varint.h"

/* The component at the head of `in`, its sizes checked but not its value: bytes used, or
 * P2P_EADDR. */
static int64_t read_component(const uint8_t *in, size_t in_len, const struct ma_protocol **protocol,
                              p2p_multiaddr_component *out)
{
    uint64_t code;
    int used = p2p__varint_decode(in, in_len, &code);
    if (used <= 0 || !(*protocol = p2p__multiaddr_protocol_by_code(code)))
        return P2P_EADDR;
    size_t at = (size_t)used;
    uint64_t value_len = 0;
    if ((*protocol)->size == P2P__MA_VARIABLE) {
        used = p2p__varint_decode(in + at, in_len - at, &value_len);
        if (used <= 0)
            return P2P_EADDR;
        at += (size_t)used;
    } else {
        value_len = (uint64_t)(*protocol)->size;
    }
    if (value_len > in_len - at)
        return P2P_EADDR;
    *out = (p2p_multiaddr_component){
        .code = (uint32_t)code,
        .name = (*protocol)->name,
        .value = in + at,
        .value_len = (size_t)value_len,
    };
    return (int64_t)(at + value_len);
}

/* What must be known of an address before anything is added to it. */
struct shape {
    size_t components;
    bool takes_rest; /* the last component lets nothing follow but /p2p */
    bool ended;      /* it lets nothing follow */
};

static bool may_follow(const struct shape *shape, const struct ma_protocol *protocol)
{
    return !shape->ended && (!shape->takes_rest || protocol->code == P2P_MA_P2P);
}

/* Walks all of `in`, checking every value: 0 or P2P_EADDR. */
static int examine(const uint8_t *in, size_t in_len, struct shape *out)
{
    struct shape shape = {0, false, false};
    for (size_t at = 0; at < in_len;) {
        const struct ma_protocol *protocol;
        p2p_multiaddr_component component;
        int64_t used = read_component(in + at, in_len - at, &protocol, &component);
        if (used < 0 || !may_follow(&shape, protocol) ||
            ++shape.components > P2P_MULTIADDR_COMPONENTS_MAX)
            return P2P_EADDR;
        if (!p2p__multiaddr_value_ok(protocol, component.value, component.value_len))
            return P2P_EADDR;
        shape.ended = shape.takes_rest;
        shape.takes_rest = protocol->takes_rest;
        at += (size_t)used;
    }
    *out = shape;
    return 0;
}

int p2p_multiaddr_decode(const uint8_t *in, size_t in_len, p2p_multiaddr *out)
{
    struct shape shape;
    if (in_len == 0 || in_len > P2P_MULTIADDR_MAX || examine(in, in_len, &shape) < 0)
        return P2P_EADDR;
    memmove(out->bytes, in, in_len);
    out->len = in_len;
    return 0;
}

int p2p_multiaddr_next(const p2p_multiaddr *self, size_t *offset, p2p_multiaddr_component *out)
{
    assert(self->len <= P2P_MULTIADDR_MAX);
    if (*offset >= self->len)
        return 0;
    const struct ma_protocol *protocol;
    int64_t used = read_component(self->bytes + *offset, self->len - *offset, &protocol, out);
    if (used < 0)
        return (int)used;
    *offset += (size_t)used;
    return 1;
}

int p2p_multiaddr_encapsulate(p2p_multiaddr *self, const p2p_multiaddr *inner)
{
    assert(self->len <= P2P_MULTIADDR_MAX && inner->len <= P2P_MULTIADDR_MAX);
    struct shape outer_shape = {0}, inner_shape = {0};
    int err = examine(self->bytes, self->len, &outer_shape);
    if (err == 0)
        err = examine(inner->bytes, inner->len, &inner_shape);
    if (err < 0)
        return err;
    const struct ma_protocol *first;
    p2p_multiaddr_component component;
    if (inner->len > 0 && (read_component(inner->bytes, inner->len, &first, &component) < 0 ||
                           !may_follow(&outer_shape, first) ||
                           (outer_shape.takes_rest && inner_shape.components > 1)))
        return P2P_EADDR;
    if (inner->len > P2P_MULTIADDR_MAX - self->len ||
        outer_shape.components + inner_shape.components > P2P_MULTIADDR_COMPONENTS_MAX)
        return P2P_ETOOBIG;
    size_t added = inner->len; /* inner may be self */
    memmove(self->bytes + self->len, inner->bytes, added);
    self->len += added;
    return 0;
}

int p2p_multiaddr_decapsulate(p2p_multiaddr *self, const p2p_multiaddr *suffix)
{
    if (suffix->len == 0)
        return P2P_EINVAL;
    size_t found = SIZE_MAX;
    size_t start = 0;
    size_t next = 0;
    p2p_multiaddr_component component;
    for (int more; (more = p2p_multiaddr_next(self, &next, &component)) != 0; start = next) {
        if (more < 0)
            return more;
        if (suffix->len <= self->len - start &&
            memcmp(self->bytes + start, suffix->bytes, suffix->len) == 0)
            found = start;
    }
    if (found == SIZE_MAX)
        return P2P_ENOENT;
    self->len = found;
    return 0;
}

int p2p__multiaddr_append_component(p2p_multiaddr *self, uint32_t code, const void *value,
                                    size_t value_len)
{
    assert(self->len <= P2P_MULTIADDR_MAX);
    const struct ma_protocol *protocol = p2p__multiaddr_protocol_by_code(code);
    struct shape shape;
    if (!protocol || !p2p__multiaddr_value_ok(protocol, value, value_len) ||
        examine(self->bytes, self->len, &shape) < 0 || !may_follow(&shape, protocol))
        return P2P_EADDR;
    uint8_t header[2 * P2P__VARINT_MAX];
    size_t header_len = p2p__varint_encode(code, header);
    if (protocol->size == P2P__MA_VARIABLE)
        header_len += p2p__varint_encode(value_len, header + header_len);
    size_t room = P2P_MULTIADDR_MAX - self->len;
    if (shape.components == P2P_MULTIADDR_COMPONENTS_MAX || header_len > room ||
        value_len > room - header_len)
        return P2P_ETOOBIG;
    memcpy(self->bytes + self->len, header, header_len);
    if (value_len > 0)
        memcpy(self->bytes + self->len + header_len, value, value_len);
    self->len += header_len + value_len;
    return 0;
}
