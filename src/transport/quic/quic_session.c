/* A session's life: dialed, or begun by a remote; proven; over. */
#include "transport/quic/quic.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/* ---- memory, so that it can be counted and made to fail ---- */

static void *mem_malloc(size_t size, void *user)
{
    (void)user;
    return p2p__realloc(NULL, size);
}

static void mem_free(void *memory, void *user)
{
    (void)user;
    p2p__free(memory);
}

static void *mem_calloc(size_t count, size_t size, void *user)
{
    (void)user;
    return size && count > SIZE_MAX / size ? NULL : p2p__alloc(count * size);
}

static void *mem_realloc(void *memory, size_t size, void *user)
{
    (void)user;
    return p2p__realloc(memory, size);
}

static const ngtcp2_mem memory = {NULL, mem_malloc, mem_free, mem_calloc, mem_realloc};

/* ---- what ngtcp2 calls ---- */

static void random_bytes(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
    struct p2p_io *io = ctx->native_handle;
    io->ops->random(io, out, len);
}

static int new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t len, void *user)
{
    struct quic_session *self = user;
    struct p2p_io *io = self->shard->io;
    const struct quic *quic = self->endpoint->quic;
    (void)conn;
    cid->datalen = len;
    io->ops->random(io, cid->data, len);
    if (ngtcp2_crypto_generate_stateless_reset_token(token, quic->reset_secret, QUIC_SECRET_LEN,
                                                     cid) != 0 ||
        !p2p__quic_cid_add(self->endpoint, self, cid->data, len)) {
        self->failure = P2P_ENOMEM;
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int remove_cid(ngtcp2_conn *conn, const ngtcp2_cid *cid, void *user)
{
    struct quic_session *self = user;
    (void)conn;
    p2p__quic_cid_remove(self->endpoint, self, cid->data, cid->datalen);
    return 0;
}

/* GnuTLS is asked for a session by the first bytes that make sense, not by a mere datagram. */
static int begin_tls(struct quic_session *self)
{
    struct quic_handshake *handshake = self->handshake;
    if (!handshake || handshake->tls)
        return 0;
    int rc = p2p__quic_tls_new(self, &handshake->tls);
    if (rc < 0) {
        self->failure = rc;
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    ngtcp2_conn_set_tls_native_handle(self->conn, p2p__quic_tls_handle(handshake->tls));
    return 0;
}

static int client_initial(ngtcp2_conn *conn, void *user)
{
    int rc = begin_tls(user);
    return rc ? rc : ngtcp2_crypto_client_initial_cb(conn, user);
}

/* After the handshake there is nothing that a remote need say: tickets are not for us. */
static int recv_crypto(ngtcp2_conn *conn, ngtcp2_crypto_level level, uint64_t offset,
                       const uint8_t *data, size_t len, void *user)
{
    struct quic_session *self = user;
    if (!self->handshake) {
        self->late_crypto += len;
        if (self->late_crypto <= QUIC_LATE_CRYPTO_MAX)
            return 0;
        self->failure = P2P_EPROTO;
        self->failure_code = NGTCP2_CRYPTO_BUFFER_EXCEEDED;
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    int rc = begin_tls(self);
    return rc ? rc : ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, len, user);
}

void p2p__quic_no_stranger(struct quic_session *self)
{
    if (list_empty(&self->stranger))
        return;
    list_remove(&self->stranger);
    self->endpoint->stranger_count--;
}

static int handshake_completed(ngtcp2_conn *conn, void *user)
{
    struct quic_session *self = user;
    const struct quic_handshake *handshake = self->handshake;
    const struct tls_peer *peer = &handshake->peer;
    if (!p2p__quic_tls_agreed(handshake->tls)) {
        self->failure = P2P_EHANDSHAKE;
        self->failure_code = NGTCP2_CRYPTO_ERROR | 120; /* no_application_protocol */
        self->failure_text = "the remote speaks QUIC, but not libp2p";
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    assert(peer->id.len > 0 && peer->id.len <= sizeof(self->base.peer));
    memcpy(self->base.peer, peer->id.bytes, peer->id.len);
    self->base.peer_len = peer->id.len;
    self->base.state = SESSION_OPEN;
    self->base.proven = true;
    self->confirmed |= quic_is_server(self);
    p2p__quic_no_stranger(self);
    if (!quic_is_server(self))
        return 0;
    /* What the client called us at first is no name of ours. */
    const ngtcp2_cid *first = ngtcp2_conn_get_client_initial_dcid(conn);
    p2p__quic_cid_remove(self->endpoint, self, first->data, first->datalen);
    return 0;
}

static int handshake_confirmed(ngtcp2_conn *conn, void *user)
{
    struct quic_session *self = user;
    (void)conn;
    self->confirmed = true;
    return 0;
}

static int recv_version_negotiation(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd,
                                    const uint32_t *versions, size_t count, void *user)
{
    struct quic_session *self = user;
    (void)conn;
    (void)hd;
    (void)versions;
    (void)count;
    self->failure = P2P_EHANDSHAKE;
    self->failure_text = "the remote does not speak version 1 of QUIC";
    return 0;
}

static int recv_stateless_reset(ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *reset,
                                void *user)
{
    struct quic_session *self = user;
    (void)conn;
    (void)reset;
    self->failure = P2P_ECONN;
    self->failure_text = "the remote has forgotten the connection";
    return 0;
}

static void set_callbacks(ngtcp2_callbacks *out)
{
    *out = (ngtcp2_callbacks){
        .client_initial = client_initial,
        .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
        .recv_crypto_data = recv_crypto,
        .handshake_completed = handshake_completed,
        .handshake_confirmed = handshake_confirmed,
        .recv_version_negotiation = recv_version_negotiation,
        .recv_stateless_reset = recv_stateless_reset,
        .recv_retry = ngtcp2_crypto_recv_retry_cb,
        .rand = random_bytes,
        .get_new_connection_id = new_cid,
        .remove_connection_id = remove_cid,
        .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
        .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
        .recv_datagram = p2p__quic_datagram_recv,
    };
    p2p__quic_cipher_callbacks(out);
    p2p__quic_stream_callbacks(out);
}

/* ---- making one ---- */

static void wake_nobody(struct session *session)
{
    (void)session;
}

static uint32_t at_most(uint32_t value, uint32_t max)
{
    return value < max ? value : max;
}

static uint32_t at_least(uint32_t value, uint32_t min)
{
    return value > min ? value : min;
}

/* What a reader leaves unread is held here: a window is no larger than what may be held, of which a
 * part is set aside for what waits to be sent. Nor is it smaller than yamux's, which is the least
 * that the options promise. */
static uint32_t first_window(const struct shard_limits *limits)
{
    uint32_t held = at_most(limits->stream_bytes_max, limits->conn_bytes_max);
    held = held > limits->stream_send_max ? held - limits->stream_send_max : 0;
    held = at_least(at_most(held, limits->stream_window_max), limits->stream_window);
    return at_most(held, QUIC_STREAM_WINDOW);
}

static struct quic_session *session_new(struct quic_endpoint *endpoint, bool initiator)
{
    struct shard *shard = endpoint->shard;
    struct quic_session *self = p2p__alloc(sizeof(*self));
    struct quic_handshake *handshake = p2p__alloc(sizeof(*handshake));
    if (!self || !handshake) {
        p2p__free(self);
        p2p__free(handshake);
        return NULL;
    }
    struct muxer *muxer = &self->base.muxer;
    muxer->ops = &p2p__muxer_quic;
    muxer->config = (struct muxer_config){
        .initiator = initiator,
        .streams_in_max = shard->limits.streams_in_max,
        .stream_window = first_window(&shard->limits),
        .stream_window_max = shard->limits.stream_window_max,
        .conn_window_max =
            at_least(at_most(shard->limits.conn_window_max, shard->limits.conn_bytes_max),
                     shard->limits.stream_window),
        .keepalive_ms = shard->limits.keepalive_ms,
        .keepalive_timeout_ms = shard->limits.keepalive_timeout_ms,
        .resets_per_s = shard->limits.stream_resets,
        .stream_head = sizeof(struct stream_head),
        .hash_key = shard->hash_key,
        .pool = &shard->pool,
    };
    list_init(&muxer->ready);
    list_init(&muxer->due);
    list_init(&muxer->streams);
    list_init(&self->queued);
    list_init(&self->stranger);
    list_init(&self->ghosts);
    self->base.wake = wake_nobody;
    self->endpoint = endpoint;
    self->shard = shard;
    self->handshake = handshake;
    list_append(&endpoint->sessions, &self->node);
    return self;
}

static void set_params(const struct quic_session *self, ngtcp2_transport_params *out)
{
    const struct muxer_config *config = &self->base.muxer.config;
    ngtcp2_transport_params_default(out);
    out->initial_max_stream_data_bidi_local = config->stream_window;
    out->initial_max_stream_data_bidi_remote = config->stream_window;
    out->initial_max_data = at_most(QUIC_CONN_WINDOW, config->conn_window_max);
    out->initial_max_streams_bidi = config->streams_in_max;
    out->active_connection_id_limit = QUIC_CIDS_ACTIVE;
    out->max_datagram_frame_size = QUIC_DATAGRAM_QUEUE - 1;
    if (config->keepalive_ms)
        out->max_idle_timeout =
            ((uint64_t)config->keepalive_ms + config->keepalive_timeout_ms) * NGTCP2_MILLISECONDS;
}

static void set_settings(const struct quic_session *self, ngtcp2_settings *out)
{
    const struct muxer_config *config = &self->base.muxer.config;
    ngtcp2_settings_default(out);
    out->initial_ts = quic_ts(shard_now_us(self->shard));
    out->max_tx_udp_payload_size = QUIC_PACKET_MAX;
    out->max_window = config->conn_window_max;
    out->max_stream_window = 0;          /* each stream has its own: quic_stream.c */
    out->handshake_timeout = UINT64_MAX; /* the connection has a deadline of its own */
    out->rand_ctx.native_handle = self->shard->io;
}

static void random_cid(struct quic_session *self, ngtcp2_cid *out)
{
    struct p2p_io *io = self->shard->io;
    out->datalen = QUIC_CID_LEN;
    io->ops->random(io, out->data, QUIC_CID_LEN);
}

static void free_unmade(struct quic_session *self)
{
    p2p__quic_cids_free(self->endpoint, self->cids);
    list_remove(&self->node);
    p2p__free(self->handshake);
    p2p__free(self);
}

int p2p__quic_session_dial(struct quic_endpoint *endpoint, const struct io_addr *local,
                           const struct io_addr *remote, struct quic_session **out)
{
    struct quic_session *self = session_new(endpoint, true);
    if (!self)
        return P2P_ENOMEM;
    ngtcp2_callbacks callbacks;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_path_storage path;
    ngtcp2_cid ours, theirs;
    set_callbacks(&callbacks);
    set_settings(self, &settings);
    set_params(self, &params);
    random_cid(self, &ours);
    random_cid(self, &theirs);
    self->local = *local;
    self->remote = *remote;
    p2p__quic_path(local, remote, &path);
    if (!p2p__quic_cid_add(endpoint, self, ours.data, ours.datalen) ||
        ngtcp2_conn_client_new(&self->conn, &theirs, &ours, &path.path, NGTCP2_PROTO_VER_V1,
                               &callbacks, &settings, &params, &memory, self) != 0) {
        free_unmade(self);
        return P2P_ENOMEM;
    }
    *out = self;
    return 0;
}

/* ---- inbound: the first datagrams wait until the host has taken the session ---- */

static void keep_early(struct quic_session *self, const struct quic_in *in)
{
    struct quic_handshake *handshake = self->handshake;
    struct quic_early **tail = &handshake->early;
    if (handshake->early_count == QUIC_EARLY_DATAGRAMS ||
        !p2p__io_addr_equal(in->remote, &self->remote))
        return;
    struct quic_early *early = p2p__realloc(NULL, sizeof(*early) + in->len);
    if (!early)
        return;
    *early = (struct quic_early){.len = in->len, .ecn = in->ecn};
    memcpy(early->bytes, in->bytes, in->len);
    while (*tail)
        tail = &(*tail)->next;
    *tail = early;
    handshake->early_count++;
}

struct quic_session *p2p__quic_session_incoming(struct quic_endpoint *endpoint,
                                                const struct quic_in *in, const ngtcp2_pkt_hd *hd,
                                                const ngtcp2_cid *original)
{
    struct quic_session *self = session_new(endpoint, false);
    if (!self)
        return NULL;
    struct quic_handshake *handshake = self->handshake;
    handshake->first = *hd;
    handshake->first.token = (ngtcp2_vec){NULL, 0};
    if (original) {
        handshake->original = *original;
        handshake->token_len = hd->token.len;
        memcpy(handshake->token, hd->token.base, hd->token.len);
    }
    self->local = *in->local;
    self->remote = *in->remote;
    if (!p2p__quic_cid_add(endpoint, self, hd->dcid.data, hd->dcid.datalen)) {
        free_unmade(self);
        return NULL;
    }
    if (!original) {
        list_append(&endpoint->strangers, &self->stranger);
        endpoint->stranger_count++;
    }
    self->accepting = true;
    endpoint->accept_count++;
    list_append(&endpoint->accepts, &self->queued);
    keep_early(self, in);
    return self;
}

static int begin(struct quic_session *self)
{
    struct quic_handshake *handshake = self->handshake;
    const ngtcp2_pkt_hd *hd = &handshake->first;
    ngtcp2_callbacks callbacks;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_path_storage path;
    ngtcp2_cid ours;
    set_callbacks(&callbacks);
    set_settings(self, &settings);
    set_params(self, &params);
    params.original_dcid = hd->dcid;
    if (handshake->token_len) {
        params.original_dcid = handshake->original;
        params.retry_scid = hd->dcid;
        params.retry_scid_present = 1;
        settings.token = (ngtcp2_vec){handshake->token, handshake->token_len};
    }
    random_cid(self, &ours);
    params.stateless_reset_token_present = 1;
    if (ngtcp2_crypto_generate_stateless_reset_token(params.stateless_reset_token,
                                                     self->endpoint->quic->reset_secret,
                                                     QUIC_SECRET_LEN, &ours) != 0)
        return NGTCP2_ERR_NOMEM;
    p2p__quic_path(&self->local, &self->remote, &path);
    int rc = ngtcp2_conn_server_new(&self->conn, &hd->scid, &ours, &path.path, hd->version,
                                    &callbacks, &settings, &params, &memory, self);
    if (rc != 0) {
        self->conn = NULL;
        return rc;
    }
    return p2p__quic_cid_add(self->endpoint, self, ours.data, ours.datalen) ? 0 : NGTCP2_ERR_NOMEM;
}

static void early_free(struct quic_handshake *handshake)
{
    while (handshake->early) {
        struct quic_early *next = handshake->early->next;
        p2p__free(handshake->early);
        handshake->early = next;
    }
    handshake->early_count = 0;
}

/* The host has taken it. */
static void begin_incoming(struct quic_session *self)
{
    int rc = begin(self);
    if (rc != 0) {
        p2p__quic_fail(self, rc);
        return;
    }
    struct quic_early *early = self->handshake->early;
    self->handshake->early = NULL;
    while (early) {
        struct quic_early *next = early->next;
        const struct quic_in in = {early->bytes, early->len, early->ecn, &self->local,
                                   &self->remote};
        if (self->base.state != SESSION_OVER)
            p2p__quic_session_recv(self, &in);
        p2p__free(early);
        early = next;
    }
}

/* ---- what comes ---- */

void p2p__quic_session_wake(struct quic_session *self)
{
    self->base.wake(&self->base);
}

void p2p__quic_handshake_free(struct quic_session *self)
{
    if (!self->handshake)
        return;
    if (self->conn)
        ngtcp2_conn_set_tls_native_handle(self->conn, NULL);
    early_free(self->handshake);
    p2p__quic_tls_free(self->handshake->tls);
    p2p__free(self->handshake);
    self->handshake = NULL;
}

/* Both idle timeouts are known now; the remote's may be shorter than our keep-alive. */
static void keep_alive(struct quic_session *self)
{
    const ngtcp2_transport_params *theirs = ngtcp2_conn_get_remote_transport_params(self->conn);
    uint64_t every = (uint64_t)self->base.muxer.config.keepalive_ms * NGTCP2_MILLISECONDS;
    if (every && theirs && theirs->max_idle_timeout && theirs->max_idle_timeout / 2 < every)
        every = theirs->max_idle_timeout / 2;
    if (every)
        ngtcp2_conn_set_keep_alive_timeout(self->conn, every);
}

static void after_reading(struct quic_session *self)
{
    ngtcp2_conn_stat stat;
    if (self->base.state == SESSION_OPEN && self->handshake) {
        p2p__quic_handshake_free(self);
        keep_alive(self);
    }
    ngtcp2_conn_get_conn_stat(self->conn, &stat);
    self->base.muxer.rtt_us =
        stat.first_rtt_sample_ts == UINT64_MAX ? 0 : (uint32_t)(stat.smoothed_rtt / 1000 + 1);
}

void p2p__quic_session_recv(struct quic_session *self, const struct quic_in *in)
{
    if (self->base.state == SESSION_OVER)
        return;
    if (!self->conn) {
        keep_early(self, in);
        return;
    }
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info = {.ecn = in->ecn};
    p2p__quic_path(in->local, in->remote, &path);
    int rc = ngtcp2_conn_read_pkt(self->conn, &path.path, &info, in->bytes, in->len,
                                  quic_ts(self->shard->now_us));
    self->heard = true;
    if (rc != 0)
        p2p__quic_fail(self, rc);
    else
        after_reading(self);
    p2p__quic_session_wake(self);
}

/* Only while nothing else was heard: anybody could say so, and it may pass. */
void p2p__quic_session_unreachable(struct quic_session *self, int sys_errno)
{
    if (quic_is_server(self) || self->heard || self->base.state != SESSION_HANDSHAKE)
        return;
    p2p__quic_over(self, (struct session_end){.code = P2P_ECONN, .sys_errno = sys_errno});
    p2p__quic_session_wake(self);
}

/* ---- the table ---- */

static size_t session_pump(struct session *base, size_t max_bytes, uint64_t now_us, bool *more)
{
    struct quic_session *self = quic_of(&base->muxer);
    if (!self->conn)
        begin_incoming(self);
    if (base->state == SESSION_OVER)
        return 0;
    return p2p__quic_pump(base, max_bytes, now_us, more);
}

/* One that was not even begun costs no keys to refuse; and an address that nobody has proven is
 * asked to prove itself instead, so that others cannot use up what it may have. */
static void refuse(struct quic_session *self)
{
    const struct quic_handshake *handshake = self->handshake;
    if (handshake->token_len)
        p2p__quic_send_refusal(self->endpoint, &self->local, &self->remote, &handshake->first,
                               NGTCP2_CONNECTION_REFUSED);
    else
        p2p__quic_send_retry(self->endpoint, &self->local, &self->remote, &handshake->first);
}

static void session_close(struct session *base, uint32_t code, uint64_t now_us)
{
    struct quic_session *self = quic_of(&base->muxer);
    (void)now_us;
    if (base->state == SESSION_OVER)
        return;
    if (self->conn) {
        p2p__quic_farewell(self, true, code);
        return;
    }
    refuse(self);
    p2p__quic_over(self, (struct session_end){.code = P2P_ECLOSED});
}

static uint64_t session_deadline(const struct muxer *muxer)
{
    const struct quic_session *self = (const struct quic_session *)muxer;
    if (!self->conn || self->base.state == SESSION_OVER)
        return HEAP_NEVER;
    ngtcp2_tstamp at = ngtcp2_conn_get_expiry(self->conn);
    return at == UINT64_MAX ? HEAP_NEVER : at / 1000 + 1;
}

static int session_timeout(struct muxer *muxer, uint64_t now_us)
{
    struct quic_session *self = quic_of(muxer);
    int rc = ngtcp2_conn_handle_expiry(self->conn, quic_ts(now_us));
    if (rc != 0)
        p2p__quic_fail(self, rc);
    return 0;
}

static void session_goaway(struct muxer *muxer, uint32_t code)
{
    (void)code;
    muxer->goaway_sent = true;
}

static void session_ping(struct muxer *muxer, uint64_t now_us)
{
    (void)muxer; /* every packet measures the round trip */
    (void)now_us;
}

static void session_fini(struct muxer *muxer)
{
    struct quic_session *self = quic_of(muxer);
    struct quic_endpoint *endpoint = self->endpoint;
    p2p__quic_handshake_free(self);
    if (self->conn)
        ngtcp2_conn_del(self->conn);
    self->conn = NULL;
    p2p__quic_streams_fini(self);
    p2p__quic_datagrams_fini(&self->in);
    p2p__quic_datagrams_fini(&self->out);
    p2p__quic_over(self, (struct session_end){.code = P2P_ECLOSED});
    p2p__quic_cids_free(endpoint, self->cids);
    self->cids = NULL;
    list_remove(&self->node);
    p2p__quic_endpoint_release(endpoint);
}

static const struct session_ops session_table = {
    .security = "/tls/1.0.0",
    .pump = session_pump,
    .close = session_close,
    .datagram_max = p2p__quic_datagram_max,
    .datagram_send = p2p__quic_datagram_send,
    .datagram_peek = p2p__quic_datagram_peek,
    .datagram_pop = p2p__quic_datagram_pop,
};

const struct muxer_ops p2p__muxer_quic = {
    .conn_size = sizeof(struct quic_session),
    .stream_size = sizeof(struct quic_stream),
    .open = p2p__quic_open,
    .written = p2p__quic_written,
    .consumed = p2p__quic_consumed,
    .close_write = p2p__quic_close_write,
    .reset = p2p__quic_reset,
    .stop = p2p__quic_stop,
    .stream_free = p2p__quic_stream_free,
    .goaway = session_goaway,
    .ping = session_ping,
    .deadline = session_deadline,
    .timeout = session_timeout,
    .fini = session_fini,
    .session = &session_table,
};
