/* In one allocation: the public struct, its arrays, then every byte. */
#include "host/identity.h"

#include <string.h>

#include "base/mem.h"
#include "codec/peer_record.h"
#include "codec/utf8.h"

enum {
    ESCAPED_MAX = 4 * P2P_IDENTITY_AGENT_MAX + 1, /* each byte as \xNN, and the NUL */
};

size_t p2p__identity_addr_len(const p2p_multiaddr *addr, const p2p_peer_id *peer)
{
    p2p_multiaddr_component part = {0}, last = {0};
    size_t offset = 0, last_at = 0, at = 0;
    while (p2p_multiaddr_next(addr, &offset, &part) == 1) {
        last = part;
        last_at = at;
        at = offset;
    }
    if (last.code != P2P_MA_P2P)
        return addr->len;
    p2p_peer_id named;
    bool own = p2p_peer_id_decode(last.value, last.value_len, &named) == 0 &&
               p2p_peer_id_equal(&named, peer);
    return own ? last_at : 0;
}

void p2p__identity_add_addr(struct identity_parts *out, struct p2p__const_iov bytes,
                            const p2p_peer_id *peer)
{
    p2p_multiaddr addr;
    if (out->addr_count == P2P_IDENTITY_ADDRS_MAX ||
        p2p_multiaddr_decode(bytes.base, bytes.len, &addr) < 0)
        return;
    bytes.len = p2p__identity_addr_len(&addr, peer);
    if (bytes.len > 0)
        out->addrs[out->addr_count++] = bytes;
}

void p2p__identity_add_protocol(struct identity_parts *out, struct p2p__const_iov name)
{
    if (out->protocol_count < P2P_IDENTITY_PROTOCOLS_MAX && name.len > 0 &&
        name.len <= IDENTITY_PROTOCOL_NAME_MAX && p2p__utf8_printable(name.base, name.len))
        out->protocols[out->protocol_count++] = name;
}

int p2p__identity_take_record(struct identity_parts *out, const p2p_peer_id *peer)
{
    struct p2p__peer_record record;
    int rc = out->record.base ? p2p__peer_record_open(out->record.base, out->record.len, &record)
                              : P2P_EPROTO;
    if (rc == 0 && !p2p_peer_id_equal(&record.peer, peer))
        rc = P2P_EPEERID;
    if (rc < 0)
        return rc;
    out->signed_record = out->any_addrs = true;
    out->record_seq = record.seq;
    out->addr_count = 0;
    for (size_t i = 0; i < record.addr_count; i++)
        p2p__identity_add_addr(out, record.addrs[i], peer);
    return 0;
}

/* The same twice: first with a NULL identity to count, then to fill. */
struct room {
    char *at;
    size_t used;
};

static void *room_take(struct room *self, const void *bytes, size_t len)
{
    char *to = self->at ? self->at + self->used : NULL;
    if (to && len)
        memcpy(to, bytes, len);
    self->used += len;
    return to;
}

static const char *room_text(struct room *self, const void *text, size_t len)
{
    const char *to = room_take(self, text, len);
    room_take(self, "", 1);
    return to;
}

/* Cut where a character ends, then made safe to print. */
static const char *room_escaped(struct room *self, struct p2p__const_iov text)
{
    char escaped[ESCAPED_MAX];
    size_t len = text.len;
    if (len > P2P_IDENTITY_AGENT_MAX) {
        len = P2P_IDENTITY_AGENT_MAX;
        for (size_t back = 0; back < 3 && (text.base[len] & 0xc0) == 0x80; back++)
            len--;
    }
    len = p2p__escape(text.base, len, escaped, sizeof(escaped));
    return room_text(self, escaped, len);
}

static const uint8_t *room_bytes(struct room *self, struct p2p__const_iov bytes)
{
    const uint8_t *to = room_take(self, bytes.base, bytes.len);
    return bytes.len ? to : NULL;
}

static p2p_identity_addr room_addr(struct room *self, struct p2p__const_iov addr)
{
    return (p2p_identity_addr){room_take(self, addr.base, addr.len), addr.len};
}

static struct p2p__const_iov known_iov(p2p_identity_addr addr)
{
    return (struct p2p__const_iov){addr.bytes, addr.len};
}

static struct p2p__const_iov record_of(const p2p_identity *out, const p2p_identity *known,
                                       const struct identity_parts *said, bool fresh_addrs)
{
    if (!out->signed_record)
        return (struct p2p__const_iov){0};
    return fresh_addrs || !known ? said->record
                                 : (struct p2p__const_iov){known->record, known->record_len};
}

static struct p2p__const_iov key_of(const p2p_identity *out, const p2p_identity *known,
                                    const struct identity_parts *said)
{
    size_t inside_len;
    if (p2p_peer_id_public_key(&out->peer, &inside_len))
        return (struct p2p__const_iov){0};
    if (said->public_key.len || !known)
        return said->public_key;
    return (struct p2p__const_iov){known->public_key, known->public_key_len};
}

/* The texts and addresses of `out`, whose arrays exist unless we count. */
static void fill(p2p_identity *out, struct room *room, const p2p_identity *known,
                 const struct identity_parts *said, bool fresh_addrs)
{
    bool filling = room->at != NULL;
    p2p_identity_addr *addrs = filling ? (p2p_identity_addr *)(void *)(out + 1) : NULL;
    const char **protocols = filling ? (const char **)(void *)(addrs + out->addr_count) : NULL;
    for (size_t i = 0; i < out->addr_count; i++) {
        struct p2p__const_iov from = fresh_addrs ? said->addrs[i] : known_iov(known->addrs[i]);
        p2p_identity_addr addr = room_addr(room, from);
        if (filling)
            addrs[i] = addr;
    }
    for (size_t i = 0; i < out->protocol_count; i++) {
        const char *name = said->any_protocols
                               ? room_text(room, said->protocols[i].base, said->protocols[i].len)
                               : room_text(room, known->protocols[i], strlen(known->protocols[i]));
        if (filling)
            protocols[i] = name;
    }
    const char *old_agent = known ? known->agent : "";
    const char *old_version = known ? known->protocol_version : "";
    out->agent = said->agent.base ? room_escaped(room, said->agent)
                                  : room_text(room, old_agent, strlen(old_agent));
    out->protocol_version = said->protocol_version.base
                                ? room_escaped(room, said->protocol_version)
                                : room_text(room, old_version, strlen(old_version));
    p2p_identity_addr old_observed = known ? known->observed_addr : (p2p_identity_addr){0};
    out->observed_addr =
        room_addr(room, said->observed.base ? said->observed : known_iov(old_observed));
    struct p2p__const_iov record = record_of(out, known, said, fresh_addrs);
    struct p2p__const_iov key = key_of(out, known, said);
    out->record = room_bytes(room, record);
    out->record_len = record.len;
    out->public_key = room_bytes(room, key);
    out->public_key_len = key.len;
    if (filling) {
        out->addrs = addrs;
        out->protocols = protocols;
    }
}

p2p_identity *p2p__identity_merge(const p2p_identity *known, const struct identity_parts *said,
                                  const p2p_peer_id *peer)
{
    /* A record seen before may be repeated, not one from before that. */
    bool older = known && known->signed_record && said->signed_record &&
                 said->record_seq < known->record_seq;
    bool fresh_addrs = said->any_addrs && !older;
    p2p_identity head = {.size = sizeof(head), .peer = *peer};
    head.addr_count = fresh_addrs ? said->addr_count : known ? known->addr_count : 0;
    head.protocol_count = said->any_protocols ? said->protocol_count
                          : known             ? known->protocol_count
                                              : 0;
    if (fresh_addrs) {
        head.signed_record = said->signed_record;
        head.record_seq = said->record_seq;
    } else if (known) {
        head.signed_record = known->signed_record;
        head.record_seq = known->record_seq;
    }
    p2p_identity counted = head;
    struct room room = {0};
    fill(&counted, &room, known, said, fresh_addrs);
    size_t arrays_size =
        head.addr_count * sizeof(p2p_identity_addr) + head.protocol_count * sizeof(char *);
    p2p_identity *self = p2p__realloc(NULL, sizeof(*self) + arrays_size + room.used);
    if (!self)
        return NULL;
    *self = head;
    room = (struct room){(char *)(self + 1) + arrays_size, 0};
    fill(self, &room, known, said, fresh_addrs);
    return self;
}

size_t p2p__identity_size(const p2p_identity *self)
{
    size_t size = sizeof(*self) + strlen(self->agent) + strlen(self->protocol_version) +
                  self->observed_addr.len + self->record_len + self->public_key_len;
    for (size_t i = 0; i < self->addr_count; i++)
        size += sizeof(*self->addrs) + self->addrs[i].len;
    for (size_t i = 0; i < self->protocol_count; i++)
        size += sizeof(*self->protocols) + strlen(self->protocols[i]) + 1;
    return size;
}

/* ---- what applications ask ---- */

int p2p_identity_addr_at(const p2p_identity *self, size_t index, p2p_multiaddr *out)
{
    if (index >= self->addr_count)
        return P2P_ENOENT;
    return p2p_multiaddr_decode(self->addrs[index].bytes, self->addrs[index].len, out);
}

int p2p_identity_supports(const p2p_identity *self, const char *protocol)
{
    for (size_t i = 0; i < self->protocol_count; i++)
        if (strcmp(self->protocols[i], protocol) == 0)
            return 1;
    return 0;
}
