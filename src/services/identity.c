/* What is known of a peer, in one allocation: the public struct, its arrays, then every byte. */
#include "services/identify_msg.h"

#include <string.h>

#include "base/mem.h"
#include "codec/utf8.h"

enum {
    ESCAPED_MAX = 4 * P2P_IDENTITY_AGENT_MAX + 1, /* each byte as \xNN, and the NUL */
};

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

static p2p_identity_addr room_addr(struct room *self, struct p2p__const_iov addr)
{
    return (p2p_identity_addr){room_take(self, addr.base, addr.len), addr.len};
}

static struct p2p__const_iov known_iov(p2p_identity_addr addr)
{
    return (struct p2p__const_iov){addr.bytes, addr.len};
}

/* The texts and addresses of `out`, whose arrays exist unless we count. */
static void fill(p2p_identity *out, struct room *room, const p2p_identity *known,
                 const struct identify_msg *msg, bool fresh_addrs)
{
    bool filling = room->at != NULL;
    p2p_identity_addr *addrs = filling ? (p2p_identity_addr *)(void *)(out + 1) : NULL;
    const char **protocols = filling ? (const char **)(void *)(addrs + out->addr_count) : NULL;
    for (size_t i = 0; i < out->addr_count; i++) {
        struct p2p__const_iov from = fresh_addrs ? msg->addrs[i] : known_iov(known->addrs[i]);
        p2p_identity_addr addr = room_addr(room, from);
        if (filling)
            addrs[i] = addr;
    }
    for (size_t i = 0; i < out->protocol_count; i++) {
        const char *name = msg->any_protocols
                               ? room_text(room, msg->protocols[i].base, msg->protocols[i].len)
                               : room_text(room, known->protocols[i], strlen(known->protocols[i]));
        if (filling)
            protocols[i] = name;
    }
    const char *old_agent = known ? known->agent : "";
    const char *old_version = known ? known->protocol_version : "";
    out->agent = msg->agent.base ? room_escaped(room, msg->agent)
                                 : room_text(room, old_agent, strlen(old_agent));
    out->protocol_version = msg->protocol_version.base
                                ? room_escaped(room, msg->protocol_version)
                                : room_text(room, old_version, strlen(old_version));
    p2p_identity_addr old_observed = known ? known->observed_addr : (p2p_identity_addr){0};
    out->observed_addr =
        room_addr(room, msg->observed.base ? msg->observed : known_iov(old_observed));
    if (filling) {
        out->addrs = addrs;
        out->protocols = protocols;
    }
}

p2p_identity *p2p__identify_merge(const p2p_identity *known, const struct identify_msg *msg,
                                  const p2p_peer_id *peer)
{
    /* A record seen before may be repeated, not one from before that. */
    bool older =
        known && known->signed_record && msg->signed_record && msg->record_seq < known->record_seq;
    bool fresh_addrs = msg->any_addrs && !older;
    p2p_identity head = {.size = sizeof(head), .peer = *peer};
    head.addr_count = fresh_addrs ? msg->addr_count : known ? known->addr_count : 0;
    head.protocol_count = msg->any_protocols ? msg->protocol_count
                          : known            ? known->protocol_count
                                             : 0;
    if (fresh_addrs) {
        head.signed_record = msg->signed_record;
        head.record_seq = msg->record_seq;
    } else if (known) {
        head.signed_record = known->signed_record;
        head.record_seq = known->record_seq;
    }
    p2p_identity counted = head;
    struct room room = {0};
    fill(&counted, &room, known, msg, fresh_addrs);
    size_t arrays_size =
        head.addr_count * sizeof(p2p_identity_addr) + head.protocol_count * sizeof(char *);
    p2p_identity *self = p2p__realloc(NULL, sizeof(*self) + arrays_size + room.used);
    if (!self)
        return NULL;
    *self = head;
    room = (struct room){(char *)(self + 1) + arrays_size, 0};
    fill(self, &room, known, msg, fresh_addrs);
    return self;
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
