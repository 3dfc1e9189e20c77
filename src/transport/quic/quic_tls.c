/* The TLS handshake inside QUIC, by GnuTLS (libp2p specs, quic and tls): ALPN "libp2p", each side
 * with exactly one certificate that carries its identity, no names, no tickets, no early data. */
#include "transport/quic/quic.h"

#include <string.h>

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "base/mem.h"

/* AES before ChaCha20, by the server's choice: rust and js put the slower one first. */
#define PRIORITIES                                                                                 \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"      \
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE:"               \
    "%DISABLE_TLS13_COMPAT_MODE"

enum {
    MESSAGE_MAX = 16 * 1024, /* of a handshake: a libp2p certificate takes two kilobytes at most */
    ALERT_MISSING_EXTENSION = 109,
    ALERT_CERTIFICATE_REQUIRED = 116,
    ALERT_NO_APPLICATION_PROTOCOL = 120,
    EXTENSION_PARAMS = 0x39, /* RFC 9001, section 8.2 */
};

/* Our certificate, which handshakes under way hold on to. */
struct quic_credentials {
    gnutls_certificate_credentials_t certificate;
    gnutls_priority_t priority;
    p2p_peer_id owner;
    int64_t not_before_s, not_after_s;
    uint32_t uses; /* the transport's, and one of each handshake */
};

struct quic_tls {
    gnutls_session_t session;
    ngtcp2_crypto_conn_ref ref;
    struct quic_credentials *credentials;
};

/* ---- credentials ---- */

void p2p__quic_credentials_free(struct quic_credentials *self)
{
    if (!self || --self->uses > 0)
        return;
    if (self->certificate)
        gnutls_certificate_free_credentials(self->certificate);
    if (self->priority)
        gnutls_priority_deinit(self->priority);
    p2p__free(self);
}

static int verify(gnutls_session_t session);

static int credentials_new(const p2p_key *key, int64_t wall_s, struct quic_credentials **out)
{
    struct tls_cert cert;
    int rc = p2p__tls_cert_generate(key, wall_s, &cert);
    if (rc < 0)
        return rc;
    struct quic_credentials *self = p2p__alloc(sizeof(*self));
    gnutls_datum_t cert_der = {cert.cert, (unsigned)cert.cert_len};
    gnutls_datum_t key_der = {cert.key, (unsigned)cert.key_len};
    if (self)
        self->uses = 1;
    bool ok = self && gnutls_certificate_allocate_credentials(&self->certificate) == 0 &&
              gnutls_certificate_set_x509_key_mem(self->certificate, &cert_der, &key_der,
                                                  GNUTLS_X509_FMT_DER) == 0 &&
              gnutls_priority_init(&self->priority, PRIORITIES, NULL) == 0;
    p2p__wipe(cert.key, sizeof(cert.key));
    if (!ok) {
        p2p__quic_credentials_free(self);
        return P2P_ENOMEM;
    }
    gnutls_certificate_set_verify_function(self->certificate, verify);
    self->owner = *p2p_key_peer_id(key);
    self->not_before_s = cert.not_before_s;
    self->not_after_s = cert.not_after_s;
    *out = self;
    return 0;
}

/* Those of this key, valid now. */
static int renew(struct quic *quic, int64_t wall_s)
{
    const p2p_key *key = quic->base.shard->key;
    struct quic_credentials *held = quic->credentials;
    if (held && p2p_peer_id_equal(&held->owner, p2p_key_peer_id(key)) &&
        wall_s >= held->not_before_s && wall_s <= held->not_after_s)
        return 0;
    struct quic_credentials *fresh = NULL;
    int rc = credentials_new(key, wall_s, &fresh);
    if (rc < 0)
        return rc;
    p2p__quic_credentials_free(held);
    quic->credentials = fresh;
    return 0;
}

/* ---- what GnuTLS calls ---- */

static struct quic_session *session_of_tls(gnutls_session_t session)
{
    const ngtcp2_crypto_conn_ref *ref = gnutls_session_get_ptr(session);
    return ref->user_data;
}

static int64_t wall_s(const struct shard *shard)
{
    return io_wall_s(shard->io);
}

static int verify(gnutls_session_t session)
{
    struct quic_session *self = session_of_tls(session);
    const struct session *base = &self->base;
    unsigned count = 0;
    const gnutls_datum_t *certs = gnutls_certificate_get_peers(session, &count);
    struct p2p__const_iov first = {.base = NULL};
    if (certs && count)
        first = (struct p2p__const_iov){certs[0].data, certs[0].size};
    int rc = p2p__tls_cert_verify(&first, certs ? count : 0, wall_s(self->shard),
                                  base->expected_len ? base->expected : NULL, base->expected_len,
                                  &self->handshake->peer);
    if (rc == 0)
        return 0;
    self->failure = rc;
    self->failure_text = self->handshake->peer.error;
    return GNUTLS_E_CERTIFICATE_ERROR;
}

struct look {
    bool seen, sound;
};

static int look_at_extension(void *ctx, unsigned type, const unsigned char *bytes, unsigned len)
{
    struct look *look = ctx;
    if (type == EXTENSION_PARAMS)
        *look = (struct look){true, p2p__quic_params_distinct(bytes, len)};
    return 0;
}

/* The remote's transport parameters, before anybody reads them: ngtcp2 counts on their being there
 * (RFC 9001, section 8.2), and takes one that is there twice. */
static int look_at_message(gnutls_session_t session, unsigned type, unsigned when, unsigned in,
                           const gnutls_datum_t *message)
{
    bool hello = type == GNUTLS_HANDSHAKE_CLIENT_HELLO;
    struct quic_session *self = session_of_tls(session);
    struct look look = {false, false};
    (void)when;
    if (!in || (!hello && type != GNUTLS_HANDSHAKE_ENCRYPTED_EXTENSIONS))
        return 0;
    int rc = gnutls_ext_raw_parse(&look, look_at_extension, message,
                                  hello ? GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO : 0);
    if (rc < 0 || look.sound)
        return rc < 0 ? rc : 0;
    self->failure = P2P_EHANDSHAKE;
    self->failure_code = look.seen ? NGTCP2_TRANSPORT_PARAMETER_ERROR
                                   : NGTCP2_CRYPTO_ERROR | ALERT_MISSING_EXTENSION;
    self->failure_text = look.seen ? "the remote's QUIC transport parameters are malformed"
                                   : "the remote has no QUIC transport parameters";
    return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
}

static int install_secrets(gnutls_session_t session, gnutls_record_encryption_level_t level,
                           const void *rx, const void *tx, size_t len)
{
    return p2p__quic_install_keys(session_of_tls(session), session,
                                  ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level),
                                  rx, tx, len);
}

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref)
{
    const struct quic_session *self = ref->user_data;
    return self->conn;
}

/* ---- a handshake ---- */

static bool configure(struct quic_tls *self, bool server)
{
    const gnutls_datum_t protocol = {(unsigned char *)(uintptr_t) "libp2p", 6};
    gnutls_session_t session = self->session;
    int rc = server ? ngtcp2_crypto_gnutls_configure_server_session(session)
                    : ngtcp2_crypto_gnutls_configure_client_session(session);
    if (rc != 0 || gnutls_priority_set(session, self->credentials->priority) != 0 ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, self->credentials->certificate) !=
            0 ||
        gnutls_alpn_set_protocols(session, &protocol, 1,
                                  GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE) != 0)
        return false;
    gnutls_handshake_set_secret_function(session, install_secrets);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_PRE,
                                       look_at_message);
    gnutls_handshake_set_max_packet_length(session, MESSAGE_MAX);
    gnutls_session_set_ptr(session, &self->ref);
    if (server)
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    return true;
}

int p2p__quic_tls_new(struct quic_session *session, struct quic_tls **out)
{
    struct quic *quic = session->endpoint->quic;
    bool server = quic_is_server(session);
    /* A client shows its certificate whatever authorities the server says it knows. */
    unsigned flags = GNUTLS_NO_END_OF_EARLY_DATA | GNUTLS_NO_TICKETS |
                     (server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET
                             : GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT);
    int rc = renew(quic, wall_s(session->shard));
    if (rc < 0)
        return rc;
    struct quic_tls *self = p2p__alloc(sizeof(*self));
    if (!self)
        return P2P_ENOMEM;
    self->ref = (ngtcp2_crypto_conn_ref){conn_of, session};
    self->credentials = quic->credentials;
    self->credentials->uses++;
    if (gnutls_init(&self->session, flags) != 0)
        self->session = NULL;
    if (!self->session || !configure(self, server)) {
        p2p__quic_tls_free(self);
        return P2P_ENOMEM;
    }
    *out = self;
    return 0;
}

void p2p__quic_tls_free(struct quic_tls *self)
{
    if (!self)
        return;
    if (self->session)
        gnutls_deinit(self->session);
    p2p__quic_credentials_free(self->credentials);
    p2p__free(self);
}

void *p2p__quic_tls_handle(struct quic_tls *self)
{
    return self->session;
}

bool p2p__quic_tls_agreed(const struct quic_tls *self)
{
    gnutls_datum_t chosen;
    return gnutls_alpn_get_selected_protocol(self->session, &chosen) == 0 && chosen.size == 6 &&
           memcmp(chosen.data, "libp2p", 6) == 0;
}

uint8_t p2p__quic_tls_alert(const struct quic_session *self)
{
    if (self->handshake && self->handshake->peer.alert)
        return self->handshake->peer.alert;
    return self->conn ? ngtcp2_conn_get_tls_alert(self->conn) : 0;
}

const char *p2p__quic_tls_sentence(uint8_t alert, bool ours)
{
    switch (alert) {
    case ALERT_NO_APPLICATION_PROTOCOL:
        return "the remote speaks QUIC, but not libp2p";
    case ALERT_CERTIFICATE_REQUIRED:
        return ours ? "the remote sent no certificate" : "the remote wants a certificate of ours";
    default:
        return ours ? "the remote's TLS handshake is malformed or does not verify"
                    : "the remote refused our TLS handshake";
    }
}
