/* Sessions that are over, for as long as packets may still come for them (RFC 9000, section 10.2):
 * what they said last is said again, to fewer and fewer who ask, or nothing is. */
#include "transport/quic/quic.h"

#include <string.h>

#include "base/mem.h"

struct quic_grave {
    struct list node;
    struct quic_cid *cids;
    uint64_t until_us;
    uint32_t visits, next_answer;
    size_t packet_len;
    uint8_t packet[];
};

static void dig_up(struct quic_endpoint *self, struct quic_grave *grave)
{
    list_remove(&grave->node);
    self->grave_count--;
    p2p__quic_cids_free(self, grave->cids);
    p2p__free(grave);
}

void p2p__quic_bury(struct quic_session *session, const uint8_t *packet, size_t packet_len,
                    uint64_t until_us)
{
    struct quic_endpoint *self = session->endpoint;
    struct quic_grave *grave = p2p__realloc(NULL, sizeof(*grave) + packet_len);
    if (!grave)
        return; /* whoever comes gets a stateless reset */
    *grave = (struct quic_grave){
        .cids = session->cids, .until_us = until_us, .next_answer = 1, .packet_len = packet_len};
    if (packet_len)
        memcpy(grave->packet, packet, packet_len);
    session->cids = NULL;
    for (struct quic_cid *cid = grave->cids; cid; cid = cid->next) {
        cid->session = NULL;
        cid->grave = grave;
    }
    list_append(&self->graves, &grave->node);
    if (++self->grave_count > QUIC_GRAVES_MAX)
        dig_up(self, P2P__CONTAINER(self->graves.next, struct quic_grave, node));
    /* In the order of burials, which is nearly that of their ends. */
    if (!self->timer.node.queued)
        timer_set(self->shard, &self->timer, until_us);
}

void p2p__quic_grave_visit(struct quic_endpoint *self, struct quic_grave *grave,
                           const struct quic_in *in)
{
    if (grave->packet_len == 0 || ++grave->visits < grave->next_answer)
        return;
    grave->next_answer *= 2;
    if (!rate_take(&self->grave_rate, self->shard->now_us, QUIC_REPLY_US, QUIC_REPLIES_BURST) ||
        in->len * 3 < grave->packet_len)
        return;
    const struct io_train train = {.base = grave->packet,
                                   .len = (uint32_t)grave->packet_len,
                                   .segment = (uint16_t)grave->packet_len,
                                   .local = *in->local,
                                   .remote = *in->remote};
    (void)p2p__quic_endpoint_send(self, &train);
}

void p2p__quic_graves_tend(struct quic_endpoint *self, uint64_t now_us)
{
    while (!list_empty(&self->graves)) {
        struct quic_grave *first = P2P__CONTAINER(self->graves.next, struct quic_grave, node);
        if (first->until_us > now_us) {
            timer_set(self->shard, &self->timer, first->until_us);
            return;
        }
        dig_up(self, first);
    }
}

void p2p__quic_graves_fini(struct quic_endpoint *self)
{
    while (!list_empty(&self->graves))
        dig_up(self, P2P__CONTAINER(self->graves.next, struct quic_grave, node));
}
