/* A QUIC client that keeps to no rules: an ngtcp2 of the test's own over a socket of io/udp.h in
 * either world. Frames of the test's making take the place of what a packet would carry, at the
 * level that the test names, just before it is sealed; transport parameters are changed on their
 * way into the handshake; and datagrams go out as they are. What came back is counted. Include
 * after tests/world.h. */
#ifndef P2P_TESTS_QUIC_RAW_H
#define P2P_TESTS_QUIC_RAW_H

#include <dlfcn.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "layer/tls_cert.h"
#include "transport/quic/quic.h"

enum quic_raw_level {
    QUIC_RAW_INITIAL,
    QUIC_RAW_HANDSHAKE,
    QUIC_RAW_SHORT,
    QUIC_RAW_LEVELS,
};

/* A machine with raw peers on it. */
struct quic_raw_net {
    struct world *world;
    p2p_io *io;
    struct io_addr ip; /* of the machine; port 0 */
    struct list peers;
    p2p_key *key;
    gnutls_certificate_credentials_t credentials; /* of that key */
};

/* How a peer differs from one that keeps to the rules. */
struct quic_raw_ways {
    gnutls_certificate_credentials_t credentials; /* NULL: the net's */
    const char *alpn;                             /* NULL: "libp2p"; "": none */
    const char *cipher;                           /* NULL: "AES-128-GCM" */
    const uint8_t *token;                         /* of the first Initial */
    size_t token_len;
    const ngtcp2_cid *dcid;     /* what it calls the server at first; NULL: chosen */
    const struct io_addr *from; /* NULL: the machine's first address, a new port */
    bool mute;                  /* nothing that comes is read: only counted */
    /* Changes the transport parameters of len bytes, at most cap; returns their length. */
    size_t (*params)(uint8_t *params, size_t len, size_t cap);
};

/* A packet's protection, as it was seen when the last one was sealed. */
struct quic_raw_seal {
    ngtcp2_crypto_aead aead;
    ngtcp2_crypto_aead_ctx ctx;
    ngtcp2_crypto_cipher hp;
    ngtcp2_crypto_cipher_ctx hp_ctx;
    uint8_t iv[12], header[64];
    size_t header_len;
    uint64_t number;
    bool known;
};

struct quic_raw {
    struct list all;
    struct quic_raw_net *net;
    struct quic_raw_ways ways;
    struct io_udp *udp;
    struct io_addr local, remote;
    ngtcp2_conn *conn;
    gnutls_session_t tls;
    ngtcp2_crypto_conn_ref ref;
    /* In the next packet of that level that has room. */
    uint8_t inject[1200];
    size_t inject_len;
    enum quic_raw_level inject_level;
    bool deaf; /* until that packet has left, nothing that comes is read */
    int injected;
    struct quic_raw_seal seal;
    bool completed;
    int over;               /* ngtcp2's error, or 0 */
    bool app_close;         /* by the remote, with `code` */
    uint64_t code;          /* of its CONNECTION_CLOSE; NOT_SAID */
    size_t sent, got;       /* bytes of datagrams */
    size_t datagrams;       /* that came */
    size_t retries, resets; /* of its streams */
    size_t path_responses;
    size_t stream_bytes;
    uint8_t first[1500]; /* the first datagram that came */
    size_t first_len;
};

#define QUIC_RAW_NOT_SAID UINT64_MAX

/* Who is inside ngtcp2: its cipher callbacks do not say. */
static struct quic_raw *quic_raw_inside;

/* ---- transport parameters, on their way into the ClientHello ---- */

/* What hosts of this process say as servers is changed by this; NULL: nothing. */
static size_t (*quic_raw_server_params)(uint8_t *params, size_t len, size_t cap);

/* In the place of ngtcp2's, for which GnuTLS's hook asks. */
__attribute__((visibility("default"))) ngtcp2_ssize
ngtcp2_conn_encode_local_transport_params(ngtcp2_conn *conn, uint8_t *dest, size_t cap)
{
    ngtcp2_ssize (*real)(ngtcp2_conn *, uint8_t *, size_t);
    void *symbol = dlsym(RTLD_NEXT, "ngtcp2_conn_encode_local_transport_params");
    memcpy(&real, &symbol, sizeof(real));
    ngtcp2_ssize len = real(conn, dest, cap);
    struct quic_raw *self = quic_raw_inside;
    if (self && self->conn == conn && self->ways.params && len > 0)
        len = (ngtcp2_ssize)self->ways.params(dest, (size_t)len, cap);
    else if (quic_raw_server_params && len > 0 && ngtcp2_conn_is_server(conn))
        len = (ngtcp2_ssize)quic_raw_server_params(dest, (size_t)len, cap);
    return len;
}

/* ---- what the peer seals and opens ---- */

static inline enum quic_raw_level quic_raw_level_of(const uint8_t *header)
{
    if (!(header[0] & 0x80))
        return QUIC_RAW_SHORT;
    return (header[0] & 0x30) == 0 ? QUIC_RAW_INITIAL : QUIC_RAW_HANDSHAKE;
}

static inline void quic_raw_learn(struct quic_raw_seal *seal, const ngtcp2_crypto_aead *aead,
                                  const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *nonce,
                                  const uint8_t *header, size_t header_len)
{
    size_t number_len = (header[0] & 3u) + 1;
    assert_true(header_len <= sizeof(seal->header));
    seal->aead = *aead;
    seal->ctx = *ctx;
    seal->number = 0;
    for (size_t i = 0; i < number_len; i++)
        seal->number = seal->number << 8 | header[header_len - number_len + i];
    memcpy(seal->iv, nonce, sizeof(seal->iv));
    for (size_t i = 0; i < 8; i++)
        seal->iv[11 - i] ^= (uint8_t)(seal->number >> (8 * i));
    memcpy(seal->header, header, header_len);
    seal->header_len = header_len;
    seal->known = true;
}

static inline int quic_raw_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                                   const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plain,
                                   size_t plain_len, const uint8_t *nonce, size_t nonce_len,
                                   const uint8_t *header, size_t header_len)
{
    struct quic_raw *self = quic_raw_inside;
    enum quic_raw_level level = quic_raw_level_of(header);
    uint8_t other[2048];
    assert_non_null(self);
    if (level == QUIC_RAW_SHORT && plain_len > 0) /* nothing: the tag of a Retry */
        quic_raw_learn(&self->seal, aead, ctx, nonce, header, header_len);
    if (self->inject_len && level == self->inject_level && plain_len >= self->inject_len) {
        assert_true(plain_len <= sizeof(other));
        memset(other, 0, plain_len); /* PADDING */
        memcpy(other, self->inject, self->inject_len);
        plain = other;
        self->injected++;
        self->inject_len = 0;
    }
    return ngtcp2_crypto_encrypt_cb(dest, aead, ctx, plain, plain_len, nonce, nonce_len, header,
                                    header_len);
}

static inline int quic_raw_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp,
                                const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample)
{
    struct quic_raw_seal *seal = &quic_raw_inside->seal;
    seal->hp = *hp;
    seal->hp_ctx = *ctx;
    return ngtcp2_crypto_hp_mask_cb(dest, hp, ctx, sample);
}

static inline uint64_t quic_raw_varint(const uint8_t *bytes, size_t len, size_t *at)
{
    size_t n = *at < len ? (size_t)1 << (bytes[*at] >> 6) : 1;
    uint64_t value = *at < len ? bytes[*at] & 0x3f : 0;
    for (size_t i = 1; i < n && *at + i < len; i++)
        value = value << 8 | bytes[*at + i];
    *at += n;
    return value;
}

/* RFC 9000, section 19. Stops at what it does not know. */
static inline void quic_raw_read_frames(struct quic_raw *self, const uint8_t *f, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint64_t type = quic_raw_varint(f, len, &at), n = 0;
        int skip = 0;
        switch (type) {
        case 0x00: /* PADDING */
        case 0x01: /* PING */
        case 0x1e: /* HANDSHAKE_DONE */
            break;
        case 0x02: /* ACK */
        case 0x03:
            (void)quic_raw_varint(f, len, &at);
            (void)quic_raw_varint(f, len, &at);
            n = quic_raw_varint(f, len, &at);
            skip = 1 + 2 * (int)n + (type == 3 ? 3 : 0);
            break;
        case 0x04: /* RESET_STREAM */
            self->resets++;
            skip = 3;
            break;
        case 0x05: /* STOP_SENDING */
        case 0x11: /* MAX_STREAM_DATA */
        case 0x15: /* STREAM_DATA_BLOCKED */
            skip = 2;
            break;
        case 0x06: /* CRYPTO */
            (void)quic_raw_varint(f, len, &at);
            at += (size_t)quic_raw_varint(f, len, &at);
            break;
        case 0x10: /* MAX_DATA, MAX_STREAMS, and who is blocked by them */
        case 0x12:
        case 0x13:
        case 0x14:
        case 0x16:
        case 0x17:
        case 0x19: /* RETIRE_CONNECTION_ID */
            skip = 1;
            break;
        case 0x18: /* NEW_CONNECTION_ID */
            (void)quic_raw_varint(f, len, &at);
            (void)quic_raw_varint(f, len, &at);
            at += at < len ? f[at] + 17u : 1;
            break;
        case 0x1a: /* PATH_CHALLENGE */
            at += 8;
            break;
        case 0x1b: /* PATH_RESPONSE */
            self->path_responses++;
            at += 8;
            break;
        default:
            if (type < 0x08 || type > 0x0f) /* STREAM */
                return;
            (void)quic_raw_varint(f, len, &at);
            if (type & 4)
                (void)quic_raw_varint(f, len, &at);
            n = type & 2 ? quic_raw_varint(f, len, &at) : len - at;
            self->stream_bytes += (size_t)n;
            at += (size_t)n;
            break;
        }
        for (; skip > 0; skip--)
            (void)quic_raw_varint(f, len, &at);
    }
}

static inline int quic_raw_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                                   const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *sealed,
                                   size_t sealed_len, const uint8_t *nonce, size_t nonce_len,
                                   const uint8_t *header, size_t header_len)
{
    int rc = ngtcp2_crypto_decrypt_cb(dest, aead, ctx, sealed, sealed_len, nonce, nonce_len, header,
                                      header_len);
    if (rc == 0 && sealed_len > aead->max_overhead)
        quic_raw_read_frames(quic_raw_inside, dest, sealed_len - aead->max_overhead);
    return rc;
}

/* ---- its handshake ---- */

static inline int quic_raw_completed(ngtcp2_conn *conn, void *user)
{
    (void)conn;
    ((struct quic_raw *)user)->completed = true;
    return 0;
}

static inline int quic_raw_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd, void *user)
{
    ((struct quic_raw *)user)->retries++;
    return ngtcp2_crypto_recv_retry_cb(conn, hd, user);
}

static inline int quic_raw_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t id,
                                       uint64_t offset, const uint8_t *data, size_t len, void *user,
                                       void *stream)
{
    (void)flags, (void)offset, (void)data, (void)user, (void)stream;
    ngtcp2_conn_extend_max_stream_offset(conn, id, len);
    ngtcp2_conn_extend_max_offset(conn, len);
    return 0;
}

static inline void quic_raw_random(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
    struct p2p_io *io = ctx->native_handle;
    io->ops->random(io, out, len);
}

static inline int quic_raw_new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t len,
                                   void *user)
{
    struct p2p_io *io = ((struct quic_raw *)user)->net->io;
    (void)conn;
    cid->datalen = len;
    io->ops->random(io, cid->data, len);
    io->ops->random(io, token, NGTCP2_STATELESS_RESET_TOKENLEN);
    return 0;
}

static const ngtcp2_callbacks quic_raw_callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .handshake_completed = quic_raw_completed,
    .encrypt = quic_raw_encrypt,
    .decrypt = quic_raw_decrypt,
    .hp_mask = quic_raw_mask,
    .recv_stream_data = quic_raw_stream_data,
    .recv_retry = quic_raw_retry,
    .rand = quic_raw_random,
    .get_new_connection_id = quic_raw_new_cid,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

static inline ngtcp2_conn *quic_raw_conn_of(ngtcp2_crypto_conn_ref *ref)
{
    return ((struct quic_raw *)ref->user_data)->conn;
}

static inline void quic_raw_start_tls(struct quic_raw *self)
{
    const char *alpn = self->ways.alpn ? self->ways.alpn : "libp2p";
    const gnutls_datum_t protocol = {(unsigned char *)(uintptr_t)alpn, (unsigned)strlen(alpn)};
    self->ref = (ngtcp2_crypto_conn_ref){quic_raw_conn_of, self};
    assert_int_equal(gnutls_init(&self->tls, GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT |
                                                 GNUTLS_NO_END_OF_EARLY_DATA | GNUTLS_NO_TICKETS),
                     0);
    assert_int_equal(ngtcp2_crypto_gnutls_configure_client_session(self->tls), 0);
    char priorities[200];
    snprintf(priorities, sizeof(priorities),
             "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+%s:-GROUP-ALL:+GROUP-X25519:"
             "%%DISABLE_TLS13_COMPAT_MODE",
             self->ways.cipher ? self->ways.cipher : "AES-128-GCM");
    assert_int_equal(gnutls_priority_set_direct(self->tls, priorities, NULL), 0);
    gnutls_certificate_credentials_t credentials =
        self->ways.credentials ? self->ways.credentials : self->net->credentials;
    assert_int_equal(gnutls_credentials_set(self->tls, GNUTLS_CRD_CERTIFICATE, credentials), 0);
    if (*alpn)
        assert_int_equal(gnutls_alpn_set_protocols(self->tls, &protocol, 1, 0), 0);
    gnutls_session_set_ptr(self->tls, &self->ref);
    ngtcp2_conn_set_tls_native_handle(self->conn, self->tls);
}

static inline void quic_raw_start(struct quic_raw *self)
{
    struct p2p_io *io = self->net->io;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_path_storage path;
    ngtcp2_cid ours = {.datalen = 18}, theirs = {.datalen = 18};
    io->ops->random(io, ours.data, ours.datalen);
    io->ops->random(io, theirs.data, theirs.datalen);
    if (self->ways.dcid)
        theirs = *self->ways.dcid;
    ngtcp2_settings_default(&settings);
    settings.initial_ts = quic_ts(io->ops->now_us(io));
    settings.handshake_timeout = UINT64_MAX;
    settings.rand_ctx.native_handle = io;
    settings.no_pmtud = 1;
    settings.token = (ngtcp2_vec){(uint8_t *)(uintptr_t)self->ways.token, self->ways.token_len};
    ngtcp2_transport_params_default(&params);
    params.initial_max_data = params.initial_max_stream_data_bidi_local =
        params.initial_max_stream_data_bidi_remote = 1 << 20;
    params.initial_max_streams_bidi = 100;
    params.max_datagram_frame_size = 65535;
    p2p__quic_path(&self->local, &self->remote, &path);
    assert_int_equal(ngtcp2_conn_client_new(&self->conn, &theirs, &ours, &path.path,
                                            NGTCP2_PROTO_VER_V1, &quic_raw_callbacks, &settings,
                                            &params, NULL, self),
                     0);
    quic_raw_start_tls(self);
}

/* ---- datagrams ---- */

/* As they are. */
static inline void quic_raw_send(struct quic_raw *self, const void *bytes, size_t len)
{
    const struct io_train train = {.base = (uint8_t *)(uintptr_t)bytes,
                                   .len = (uint32_t)len,
                                   .segment = (uint16_t)len,
                                   .remote = self->remote,
                                   .local = {.family = self->remote.family}};
    (void)self->udp->ops->send(self->udp, &train, 1);
    self->sent += len;
}

static inline void quic_raw_ended(struct quic_raw *self, int rc)
{
    ngtcp2_connection_close_error why;
    if (self->over)
        return;
    self->over = rc;
    if (rc != NGTCP2_ERR_DRAINING)
        return;
    ngtcp2_conn_get_connection_close_error(self->conn, &why);
    self->app_close = why.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;
    self->code = why.error_code;
}

static inline void quic_raw_take(struct quic_raw *self, const uint8_t *bytes, size_t len)
{
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info = {.ecn = 0};
    if (self->datagrams++ == 0 && len <= sizeof(self->first)) {
        memcpy(self->first, bytes, len);
        self->first_len = len;
    }
    self->got += len;
    if (self->ways.mute || self->over || !self->conn || (self->deaf && !self->injected))
        return;
    p2p__quic_path(&self->local, &self->remote, &path);
    quic_raw_inside = self;
    int rc = ngtcp2_conn_read_pkt(self->conn, &path.path, &info, bytes, len,
                                  quic_ts(self->net->io->ops->now_us(self->net->io)));
    quic_raw_inside = NULL;
    if (rc != 0)
        quic_raw_ended(self, rc);
}

static inline void quic_raw_recv(struct quic_raw *self)
{
    struct io_train trains[IO_TRAINS_MAX];
    while (self->udp->readable) {
        size_t count = self->udp->ops->recv(self->udp, trains, IO_TRAINS_MAX);
        for (size_t i = 0; i < count; i++)
            for (uint32_t at = 0; at < trains[i].len; at += trains[i].segment) {
                uint32_t left = trains[i].len - at;
                quic_raw_take(self, trains[i].base + at,
                              left < trains[i].segment ? left : trains[i].segment);
            }
    }
}

/* All that is due. frame: at least one packet, with a DATAGRAM of that length in it. */
static inline void quic_raw_write(struct quic_raw *self, size_t frame)
{
    static const uint8_t nothing[1200];
    ngtcp2_tstamp now = quic_ts(self->net->io->ops->now_us(self->net->io));
    while (self->conn && !self->over) {
        uint8_t packet[1452];
        ngtcp2_path_storage path;
        ngtcp2_pkt_info info;
        ngtcp2_vec vec = {(uint8_t *)(uintptr_t)nothing, frame};
        int taken = 0;
        ngtcp2_path_storage_zero(&path);
        quic_raw_inside = self;
        ngtcp2_ssize n =
            frame
                ? ngtcp2_conn_writev_datagram(self->conn, &path.path, &info, packet, sizeof(packet),
                                              &taken, 0, 1, &vec, 1, now)
                : ngtcp2_conn_write_pkt(self->conn, &path.path, &info, packet, sizeof(packet), now);
        quic_raw_inside = NULL;
        if (taken)
            frame = 0;
        if (n < 0)
            quic_raw_ended(self, (int)n);
        if (n <= 0)
            return;
        quic_raw_send(self, packet, (size_t)n);
    }
}

/* ---- machines and peers ---- */

static inline void quic_raw_run(struct quic_raw *self, uint64_t *next_us)
{
    uint64_t now = self->net->io->ops->now_us(self->net->io);
    quic_raw_recv(self);
    if (!self->conn || self->over || self->ways.mute)
        return;
    quic_raw_write(self, 0);
    if (!self->over && ngtcp2_conn_get_expiry(self->conn) <= quic_ts(now)) {
        quic_raw_inside = self;
        int rc = ngtcp2_conn_handle_expiry(self->conn, quic_ts(now));
        quic_raw_inside = NULL;
        if (rc != 0)
            quic_raw_ended(self, rc);
        quic_raw_write(self, 0);
    }
    ngtcp2_tstamp at = ngtcp2_conn_get_expiry(self->conn);
    if (!self->over && at != UINT64_MAX && at / 1000 + 1 < *next_us)
        *next_us = at / 1000 + 1 > now ? at / 1000 + 1 : now + 1;
}

static inline void quic_raw_turn(void *user)
{
    struct quic_raw_net *self = user;
    uint64_t next_us = UINT64_MAX;
    for (struct list *node = self->peers.next; node != &self->peers; node = node->next)
        quic_raw_run(P2P__CONTAINER(node, struct quic_raw, all), &next_us);
    self->io->ops->wake_at(self->io, next_us);
}

static inline void quic_raw_wake(struct io_udp *udp)
{
    struct quic_raw *self = udp->owner;
    self->net->io->ops->mark(self->net->io);
}

/* A peer's credentials, as libp2p has them; wall_s: when they were made. */
static inline gnutls_certificate_credentials_t quic_raw_credentials(const p2p_key *key,
                                                                    int64_t wall_s)
{
    struct tls_cert cert;
    gnutls_certificate_credentials_t out;
    assert_int_equal(p2p__tls_cert_generate(key, wall_s, &cert), 0);
    gnutls_datum_t cert_der = {cert.cert, (unsigned)cert.cert_len};
    gnutls_datum_t key_der = {cert.key, (unsigned)cert.key_len};
    assert_int_equal(gnutls_certificate_allocate_credentials(&out), 0);
    assert_int_equal(
        gnutls_certificate_set_x509_key_mem(out, &cert_der, &key_der, GNUTLS_X509_FMT_DER), 0);
    return out;
}

static inline int64_t quic_raw_wall_s(const struct quic_raw_net *self)
{
    return self->io->ops->wall_us(self->io) / 1000000;
}

static inline void quic_raw_ip(const char *text, struct io_addr *out)
{
    unsigned b[4];
    assert_int_equal(sscanf(text, "%u.%u.%u.%u", &b[0], &b[1], &b[2], &b[3]), 4);
    *out = (struct io_addr){.family = 4};
    for (int i = 0; i < 4; i++)
        out->ip[i] = (uint8_t)b[i];
}

static inline void quic_raw_net_init(struct quic_raw_net *self, struct world *world)
{
    char ip[46] = "127.0.0.1";
    int i = world->count++;
    *self = (struct quic_raw_net){.world = world};
    self->io =
        world->kind == WORLD_UV ? p2p_io_uv(&world->loop) : p2p_sim_host(world->sim, NULL, 0);
    assert_non_null(self->io);
    world->io[i] = self->io; /* freed with the world's */
    if (world->kind == WORLD_SIM)
        assert_int_equal(p2p_sim_address(self->io, 0, ip, sizeof(ip)), 0);
    quic_raw_ip(ip, &self->ip);
    list_init(&self->peers);
    self->key = world_key(world->seed, 20000 + i);
    self->credentials = quic_raw_credentials(self->key, quic_raw_wall_s(self));
    self->io->turn = quic_raw_turn;
    self->io->user = self;
}

/* Says goodbye as an application does. */
static inline void quic_raw_close(struct quic_raw *self, uint64_t code)
{
    uint8_t packet[1200];
    ngtcp2_connection_close_error why;
    ngtcp2_connection_close_error_set_application_error(&why, code, NULL, 0);
    quic_raw_inside = self;
    ngtcp2_ssize n =
        ngtcp2_conn_write_connection_close(self->conn, NULL, NULL, packet, sizeof(packet), &why,
                                           quic_ts(self->net->io->ops->now_us(self->net->io)));
    quic_raw_inside = NULL;
    if (n > 0)
        quic_raw_send(self, packet, (size_t)n);
    self->over = NGTCP2_ERR_CLOSING;
}

/* Off the wire. With a word, where the connection is open. */
static inline void quic_raw_free(struct quic_raw *self)
{
    if (self->conn && self->completed && !self->over)
        quic_raw_close(self, 0);
    list_remove(&self->all);
    self->udp->ops->close(self->udp);
    if (self->conn)
        ngtcp2_conn_del(self->conn);
    if (self->tls)
        gnutls_deinit(self->tls);
    free(self);
}

static inline void quic_raw_free_all(struct quic_raw_net *self)
{
    while (!list_empty(&self->peers))
        quic_raw_free(P2P__CONTAINER(self->peers.next, struct quic_raw, all));
}

/* Before world_fini. */
static inline void quic_raw_net_fini(struct quic_raw_net *self)
{
    quic_raw_free_all(self);
    self->io->ops->detach(self->io);
    gnutls_certificate_free_credentials(self->credentials);
    p2p_key_free(self->key);
}

static inline void quic_raw_addr_of(struct quic_raw_net *self, const char *text,
                                    struct io_addr *out)
{
    p2p_multiaddr addr;
    p2p_peer_id peer;
    const char *why;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    (void)p2p__addr_take_peer(&addr, &peer);
    assert_int_equal(p2p__quic_parse(&addr, self->io, out, &why), 0);
}

/* A socket that says nothing of itself yet. */
static inline struct quic_raw *quic_raw_bind(struct quic_raw_net *net, const char *target,
                                             const struct quic_raw_ways *ways)
{
    struct quic_raw *self = calloc(1, sizeof(*self));
    int sys_errno;
    assert_non_null(self);
    self->net = net;
    self->code = QUIC_RAW_NOT_SAID;
    if (ways)
        self->ways = *ways;
    self->local = self->ways.from ? *self->ways.from : net->ip;
    assert_int_equal(net->io->ops->udp(net->io, &self->local, 0, &self->udp, &sys_errno), 0);
    self->local = self->udp->local;
    self->udp->owner = self;
    self->udp->wake = quic_raw_wake;
    quic_raw_addr_of(net, target, &self->remote);
    list_append(&net->peers, &self->all);
    return self;
}

/* A client whose first flight has left. */
static inline struct quic_raw *quic_raw_dial(struct quic_raw_net *net, const char *target,
                                             const struct quic_raw_ways *ways)
{
    struct quic_raw *self = quic_raw_bind(net, target, ways);
    quic_raw_start(self);
    quic_raw_write(self, 0);
    net->io->ops->mark(net->io);
    return self;
}

/* A packet of that level whose frames are these, and PADDING. Below 1-RTT: when the next one is
 * due. */
static inline void quic_raw_inject(struct quic_raw *self, enum quic_raw_level level,
                                   const void *frames, size_t len)
{
    assert_true(len && len <= 1100);
    memcpy(self->inject, frames, len);
    self->inject_len = len;
    self->inject_level = level;
    if (level == QUIC_RAW_SHORT)
        quic_raw_write(self, len < 16 ? 16 : len);
    self->net->io->ops->mark(self->net->io);
}

/* A 1-RTT packet of its own making, with these frames and nothing else, from a number that ngtcp2
 * will not come to. */
static inline void quic_raw_packet(struct quic_raw *self, const void *frames, size_t len)
{
    const struct quic_raw_seal *seal = &self->seal;
    uint8_t packet[1500], nonce[12], mask[5];
    uint64_t number = seal->number + 1;
    size_t old_len = (seal->header[0] & 3u) + 1, at = seal->header_len - old_len;
    assert_true(seal->known);
    memcpy(packet, seal->header, at);
    packet[0] = (uint8_t)((packet[0] & ~3u) | 3u); /* four bytes of number */
    for (size_t i = 0; i < 4; i++)
        packet[at + i] = (uint8_t)(number >> (8 * (3 - i)));
    memcpy(nonce, seal->iv, sizeof(nonce));
    for (size_t i = 0; i < 8; i++)
        nonce[11 - i] ^= (uint8_t)(number >> (8 * i));
    assert_int_equal(ngtcp2_crypto_encrypt(packet + at + 4, &seal->aead, &seal->ctx, frames, len,
                                           nonce, sizeof(nonce), packet, at + 4),
                     0);
    assert_int_equal(ngtcp2_crypto_hp_mask(mask, &seal->hp, &seal->hp_ctx, packet + at + 4), 0);
    packet[0] ^= mask[0] & 0x1f;
    for (size_t i = 0; i < 4; i++)
        packet[at + i] ^= mask[1 + i];
    quic_raw_send(self, packet, at + 4 + len + 16);
}

/* ---- waiting ---- */

static inline bool quic_raw_is_over(void *user)
{
    return ((struct quic_raw *)user)->over != 0;
}

static inline bool quic_raw_is_open(void *user)
{
    const struct quic_raw *self = user;
    return self->over || (self->completed && self->seal.known);
}

static inline bool quic_raw_has_news(void *user)
{
    return ((struct quic_raw *)user)->datagrams > 0;
}

#endif
