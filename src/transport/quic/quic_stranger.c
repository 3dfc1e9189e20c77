/* Datagrams for nobody: a new connection, or something to be answered in a word, at a bounded rate,
 * or nothing. Nothing here keeps state for an address that has not proven that it is one, beyond a
 * fixed number of sessions. */
#include "transport/quic/quic.h"

#include <string.h>

enum {
    RESET_MIN = 41,  /* shorter ones could be told from packets (RFC 9000, section 10.3) */
    RESET_MAX = 128, /* longer ones serve nobody */
    REPLY_MAX = 1200,
    LONG_HEADER = 0x80,
};

static bool may_reply(struct quic_endpoint *self, struct rate *rate)
{
    return rate_take(rate, self->shard->now_us, QUIC_REPLY_US, QUIC_REPLIES_BURST);
}

static void reply_with(struct quic_endpoint *self, const struct io_addr *local,
                       const struct io_addr *remote, uint8_t *bytes, ngtcp2_ssize len)
{
    if (len <= 0)
        return;
    const struct io_train train = {.base = bytes,
                                   .len = (uint32_t)len,
                                   .segment = (uint16_t)len,
                                   .local = *local,
                                   .remote = *remote};
    (void)p2p__quic_endpoint_send(self, &train);
}

/* ---- versions ---- */

void p2p__quic_negotiate_version(struct quic_endpoint *self, const struct quic_in *in,
                                 const ngtcp2_version_cid *names)
{
    const uint32_t ours[] = {NGTCP2_PROTO_VER_V1};
    uint8_t reply[REPLY_MAX], dice;
    if (!self->listening || in->len < QUIC_PACKET_MIN || !may_reply(self, &self->vn_rate))
        return;
    self->shard->io->ops->random(self->shard->io, &dice, 1);
    reply_with(self, in->local, in->remote, reply,
               ngtcp2_pkt_write_version_negotiation(reply, sizeof(reply), dice, names->scid,
                                                    names->scidlen, names->dcid, names->dcidlen,
                                                    ours, 1));
}

/* ---- Retry ---- */

static const ngtcp2_addr *remote_of(const struct io_addr *local, const struct io_addr *remote,
                                    ngtcp2_path_storage *storage)
{
    p2p__quic_path(local, remote, storage);
    return &storage->path.remote;
}

void p2p__quic_send_retry(struct quic_endpoint *self, const struct io_addr *local,
                          const struct io_addr *remote, const ngtcp2_pkt_hd *hd)
{
    struct p2p_io *io = self->shard->io;
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN], reply[REPLY_MAX];
    ngtcp2_path_storage path;
    ngtcp2_cid ours = {.datalen = QUIC_CID_LEN};
    const ngtcp2_addr *to = remote_of(local, remote, &path);
    io->ops->random(io, ours.data, QUIC_CID_LEN);
    ngtcp2_ssize len = ngtcp2_crypto_generate_retry_token(
        token, self->quic->token_secret, QUIC_SECRET_LEN, hd->version, to->addr, to->addrlen, &ours,
        &hd->dcid, quic_ts(self->shard->now_us));
    if (len > 0)
        reply_with(self, local, remote, reply,
                   ngtcp2_crypto_write_retry(reply, sizeof(reply), hd->version, &hd->scid, &ours,
                                             &hd->dcid, token, (size_t)len));
}

void p2p__quic_send_refusal(struct quic_endpoint *self, const struct io_addr *local,
                            const struct io_addr *remote, const ngtcp2_pkt_hd *hd,
                            uint64_t error_code)
{
    uint8_t reply[REPLY_MAX];
    if (may_reply(self, &self->close_rate))
        reply_with(self, local, remote, reply,
                   ngtcp2_crypto_write_connection_close(reply, sizeof(reply), hd->version,
                                                        &hd->scid, &hd->dcid, error_code, NULL, 0));
}

/* What a token proves. Only Retry's count: we give out no others, and those of another time are as
 * good as none. */
enum token { TOKEN_NONE, TOKEN_GOOD, TOKEN_BAD };

static enum token check_token(struct quic_endpoint *self, const struct quic_in *in,
                              const ngtcp2_pkt_hd *hd, ngtcp2_cid *original)
{
    ngtcp2_path_storage path;
    const ngtcp2_addr *from = remote_of(in->local, in->remote, &path);
    if (hd->token.len == 0 || hd->token.base[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
        return TOKEN_NONE;
    if (hd->token.len > NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN)
        return TOKEN_BAD;
    int rc = ngtcp2_crypto_verify_retry_token(
        original, hd->token.base, hd->token.len, self->quic->token_secret, QUIC_SECRET_LEN,
        hd->version, from->addr, from->addrlen, &hd->dcid, QUIC_TOKEN_S * NGTCP2_SECONDS,
        quic_ts(self->shard->now_us));
    return rc == 0 ? TOKEN_GOOD : TOKEN_BAD;
}

static bool must_prove(const struct quic_endpoint *self, const struct io_addr *remote)
{
    uint32_t count = 0;
    const struct list *node = self->strangers.next;
    for (; node != &self->strangers; node = node->next) {
        struct io_addr addr = P2P__CONTAINER(node, const struct quic_session, stranger)->remote;
        addr.port = remote->port;
        count += p2p__io_addr_equal(&addr, remote);
    }
    return self->stranger_count >= QUIC_UNPROVEN_MAX || count >= QUIC_UNPROVEN_PER_IP;
}

/* ---- new connections ---- */

static void arrive(struct quic_endpoint *self, const struct quic_in *in)
{
    ngtcp2_pkt_hd hd;
    ngtcp2_cid original;
    int rc = ngtcp2_accept(&hd, in->bytes, in->len);
    if (rc != 0 || !self->listening)
        return;
    enum token token = check_token(self, in, &hd, &original);
    if (token == TOKEN_BAD) {
        p2p__quic_send_refusal(self, in->local, in->remote, &hd, NGTCP2_INVALID_TOKEN);
        return;
    }
    if (token == TOKEN_NONE && must_prove(self, in->remote)) {
        p2p__quic_send_retry(self, in->local, in->remote, &hd);
        return;
    }
    if (self->accept_count >= QUIC_ACCEPTS_MAX ||
        !p2p__quic_session_incoming(self, in, &hd, token == TOKEN_GOOD ? &original : NULL))
        return;
    self->listener.acceptable = true;
    self->listener.wake(&self->listener);
}

/* ---- connections that we know nothing of (any more) ---- */

/* Shorter than what caused it, so that two who know nothing cannot go on for ever. */
static void reset(struct quic_endpoint *self, const struct quic_in *in,
                  const ngtcp2_version_cid *names)
{
    struct p2p_io *io = self->shard->io;
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN], reply[RESET_MAX], dice[RESET_MAX];
    ngtcp2_cid cid;
    if (in->len <= RESET_MIN || !may_reply(self, &self->reset_rate))
        return;
    size_t len = in->len - 1 < RESET_MAX ? in->len - 1 : RESET_MAX;
    ngtcp2_cid_init(&cid, names->dcid, names->dcidlen);
    if (ngtcp2_crypto_generate_stateless_reset_token(token, self->quic->reset_secret,
                                                     QUIC_SECRET_LEN, &cid) != 0)
        return;
    io->ops->random(io, dice, sizeof(dice));
    reply_with(self, in->local, in->remote, reply,
               ngtcp2_pkt_write_stateless_reset(reply, len, token, dice,
                                                len - NGTCP2_STATELESS_RESET_TOKENLEN));
}

void p2p__quic_stranger(struct quic_endpoint *self, const struct quic_in *in,
                        const ngtcp2_version_cid *names)
{
    if (in->bytes[0] & LONG_HEADER)
        arrive(self, in);
    else
        reset(self, in, names);
}
