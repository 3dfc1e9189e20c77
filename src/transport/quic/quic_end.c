/* Why a session ended, for us and for the remote. */
#include "transport/quic/quic.h"

#include <string.h>

#include "base/mem.h"

enum {
    ALERT_MASK = 0xff,
    CRYPTO_ERRORS = NGTCP2_CRYPTO_ERROR, /* 0x100..0x1ff: a TLS alert each */
    LINGER_PTOS = 3,                     /* RFC 9000, section 10.2 */
    RESOURCE_LIMIT_EXCEEDED = 0x1001,    /* libp2p specs, error codes */
};

static bool is_alert(uint64_t code)
{
    return (code & ~(uint64_t)ALERT_MASK) == CRYPTO_ERRORS;
}

static void leave(struct quic_session *self)
{
    struct quic_endpoint *endpoint = self->endpoint;
    p2p__quic_no_stranger(self);
    if (self->accepting)
        endpoint->accept_count--;
    self->accepting = false;
    list_remove(&self->queued);
}

void p2p__quic_over(struct quic_session *self, struct session_end end)
{
    if (self->base.state == SESSION_OVER)
        return;
    self->base.state = SESSION_OVER;
    self->base.end = end;
    leave(self);
}

/* ---- the remote ended it ---- */

static struct session_end during_handshake(const ngtcp2_connection_close_error *why)
{
    struct session_end end = {.code = P2P_EHANDSHAKE, .remote_code = (uint32_t)why->error_code};
    if (why->type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_TRANSPORT && is_alert(why->error_code))
        end.message = p2p__quic_tls_sentence((uint8_t)(why->error_code & ALERT_MASK), false);
    else if (why->type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_TRANSPORT &&
             why->error_code == NGTCP2_CONNECTION_REFUSED)
        end = (struct session_end){.code = P2P_ECONN, .message = "the remote takes no connections"};
    else
        end.message = "the remote closed the connection during the handshake";
    return end;
}

static struct session_end by_remote(const struct quic_session *self)
{
    ngtcp2_connection_close_error why;
    ngtcp2_conn_get_connection_close_error(self->conn, &why);
    if (self->failure) /* a stateless reset */
        return (struct session_end){.code = self->failure, .message = self->failure_text};
    if (self->base.state == SESSION_HANDSHAKE)
        return during_handshake(&why);
    /* The client believes in its connection before the server has looked at its certificate. */
    if (why.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_TRANSPORT && is_alert(why.error_code))
        return during_handshake(&why);
    return (struct session_end){
        .code = P2P_ECLOSED,
        .remote_code = why.error_code < UINT32_MAX ? (uint32_t)why.error_code : UINT32_MAX,
        .message = "the remote closed the connection"};
}

static uint64_t linger_until_us(const struct quic_session *self)
{
    return self->shard->now_us + LINGER_PTOS * ngtcp2_conn_get_pto(self->conn) / 1000;
}

/* ---- we end it ---- */

static void say(struct quic_session *self, const ngtcp2_connection_close_error *why)
{
    uint8_t packet[QUIC_PACKET_MIN];
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info;
    ngtcp2_path_storage_zero(&path);
    ngtcp2_ssize len = ngtcp2_conn_write_connection_close(
        self->conn, &path.path, &info, packet, sizeof(packet), why, quic_ts(self->shard->now_us));
    if (len <= 0) {
        p2p__quic_bury(self, NULL, 0, linger_until_us(self));
        return;
    }
    struct io_train train = {
        .base = packet, .len = (uint32_t)len, .segment = (uint16_t)len, .ecn = (uint8_t)info.ecn};
    p2p__quic_path_addrs(&path.path, &train.local, &train.remote);
    (void)p2p__quic_endpoint_send(self->endpoint, &train);
    p2p__quic_bury(self, packet, (size_t)len, linger_until_us(self));
}

void p2p__quic_farewell(struct quic_session *self, bool application, uint64_t code)
{
    ngtcp2_connection_close_error why;
    if (application)
        ngtcp2_connection_close_error_set_application_error(&why, code, NULL, 0);
    else
        ngtcp2_connection_close_error_set_transport_error(&why, code, NULL, 0);
    if (self->base.state == SESSION_OVER)
        return;
    say(self, &why);
    p2p__quic_over(self, (struct session_end){.code = P2P_ECLOSED});
}

static struct session_end by_us(const struct quic_session *self, int liberr)
{
    if (self->failure)
        return (struct session_end){.code = self->failure, .message = self->failure_text};
    switch (liberr) {
    case NGTCP2_ERR_NOMEM:
        return (struct session_end){.code = P2P_ENOMEM};
    case NGTCP2_ERR_CRYPTO:
        return (struct session_end){.code = P2P_EHANDSHAKE,
                                    .message =
                                        p2p__quic_tls_sentence(p2p__quic_tls_alert(self), true)};
    default:
        return (struct session_end){.code = self->base.state == SESSION_HANDSHAKE ? P2P_EHANDSHAKE
                                                                                  : P2P_EPROTO,
                                    .message = "the remote broke the QUIC protocol"};
    }
}

static void say_liberr(struct quic_session *self, int liberr)
{
    ngtcp2_connection_close_error why;
    uint8_t alert = p2p__quic_tls_alert(self);
    if (self->failure_code)
        ngtcp2_connection_close_error_set_transport_error(&why, self->failure_code, NULL, 0);
    else if (self->failure == P2P_ELIMIT)
        ngtcp2_connection_close_error_set_application_error(&why, RESOURCE_LIMIT_EXCEEDED, NULL, 0);
    else if (liberr == NGTCP2_ERR_CRYPTO && alert)
        ngtcp2_connection_close_error_set_transport_error_tls_alert(&why, alert, NULL, 0);
    else
        ngtcp2_connection_close_error_set_transport_error_liberr(&why, liberr, NULL, 0);
    say(self, &why);
}

void p2p__quic_fail(struct quic_session *self, int liberr)
{
    if (self->base.state == SESSION_OVER)
        return;
    switch (liberr) {
    case NGTCP2_ERR_DISCARD_PKT:
        return;
    case NGTCP2_ERR_DRAINING: {
        struct session_end end = by_remote(self);
        p2p__quic_bury(self, NULL, 0, linger_until_us(self));
        p2p__quic_over(self, end);
        return;
    }
    case NGTCP2_ERR_RETRY:
        p2p__quic_send_retry(self->endpoint, &self->local, &self->remote, &self->handshake->first);
        p2p__quic_over(self, (struct session_end){.code = P2P_EHANDSHAKE});
        return;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
        p2p__quic_over(self,
                       (struct session_end){.code = P2P_EHANDSHAKE, .message = self->failure_text});
        return;
    case NGTCP2_ERR_IDLE_CLOSE:
        p2p__quic_over(self, (struct session_end){.code = P2P_ETIMEDOUT,
                                                  .message = "the remote has gone silent"});
        return;
    default:
        break;
    }
    struct session_end end = by_us(self, liberr);
    if (end.code == P2P_EPEERID) { /* who it is instead will be told */
        const p2p_peer_id *other = &self->handshake->peer.id;
        memcpy(self->base.peer, other->bytes, other->len);
        self->base.peer_len = other->len;
    }
    if (self->conn)
        say_liberr(self, liberr);
    p2p__quic_over(self, end);
}
