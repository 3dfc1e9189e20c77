/* TLS under WebSocket: whom a client believes, what a server shows, and what neither lets pass. */
#include "tests/test.h"

#include <openssl/ssl.h>

#include "tests/web_certs.h"

#include <p2p/error.h>

#include "layer/web_tls.h"

enum {
    BYTES_MAX = 64 * 1024,
};

static const struct layer_ops *const ops = &p2p__layer_web_tls;

struct end {
    struct layer_env env;
    struct layer_config config;
    struct layer_result result;
    struct tls_state state;
    struct web_handshake handshake;
    struct buf in;
    struct outq out;
};

struct fixture {
    struct pool pool;
    struct p2p__tls *tls;
    struct web_cert root, site;
    struct end client, server;
};

static void end_start(struct end *self)
{
    self->state = (struct tls_state){0};
    self->handshake = (struct web_handshake){0};
    self->result = (struct layer_result){0};
    assert_int_equal(ops->start(&self->state, &self->handshake, &self->config, &self->env), 0);
}

static void end_clear(struct end *self)
{
    p2p__buf_fini(&self->in, self->env.pool);
    p2p__outq_fini(&self->out, self->env.pool);
    buf_init(&self->in, 256 * 1024);
    ops->handshake_fini(&self->handshake);
    ops->fini(&self->state);
}

static void end_init(struct fixture *f, struct end *self, bool initiator)
{
    self->env = (struct layer_env){.pool = &f->pool, .tls = f->tls, .web = p2p__web_new()};
    self->config = (struct layer_config){
        .initiator = initiator, .wall_s = WEB_NOW_S, .server_name = "node.example"};
    buf_init(&self->in, 256 * 1024);
}

static void serve_pairs(struct fixture *f, const struct web_pem *pairs, size_t count)
{
    struct web_fault fault;
    assert_int_equal(p2p__web_serve(f->server.env.web, pairs, count, &fault), 0);
}

static void serve(struct fixture *f, const struct web_cert *cert)
{
    struct web_pem pair = web_pair(cert);
    serve_pairs(f, &pair, 1);
}

static void trust(struct fixture *f, const struct web_cert *cert)
{
    const char *error;
    assert_int_equal(p2p__web_trust(f->client.env.web, cert->pem, strlen(cert->pem), &error), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    p2p__pool_init(&f->pool, 0);
    f->tls = p2p__tls_new();
    web_authority(&f->root, "root");
    web_cert_init(&f->site, &(struct web_recipe){.names = "DNS:node.example"}, &f->root);
    end_init(f, &f->client, true);
    end_init(f, &f->server, false);
    serve(f, &f->site);
    trust(f, &f->root);
    *state = f;
    return 0;
}

/* Nothing is left in OpenSSL's queue of errors, which is the application's. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ERR_peek_error(), 0);
    end_clear(&f->client);
    end_clear(&f->server);
    p2p__web_free(f->client.env.web);
    p2p__web_free(f->server.env.web);
    web_cert_fini(&f->root);
    web_cert_fini(&f->site);
    p2p__tls_free(f->tls);
    assert_int_equal(f->pool.used_bytes, 0);
    p2p__pool_fini(&f->pool);
    free(f);
    return 0;
}

static int step(struct end *self)
{
    return ops->step(&self->state, &self->handshake, &self->env, &self->in, &self->out,
                     &self->result);
}

static size_t move(struct end *from, struct end *to)
{
    struct iov iov[8];
    size_t total = 0, done = 0;
    for (size_t n; (n = p2p__outq_iov(&from->out, iov, 8, BYTES_MAX, &total)) > 0;) {
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p2p__buf_append(&to->in, to->env.pool, iov[i].base, iov[i].len), 0);
        outq_consume(&from->out, from->env.pool, total);
        done += total;
    }
    return done;
}

/* Both from the beginning; the client's code, and the server's in *server. */
static int meet(struct fixture *f, int *server)
{
    int code[2] = {STEP_WANT_INPUT, STEP_WANT_INPUT};
    end_clear(&f->client);
    end_clear(&f->server);
    end_start(&f->client);
    end_start(&f->server);
    do {
        if (code[0] == STEP_WANT_INPUT)
            code[0] = step(&f->client);
        move(&f->client, &f->server);
        if (code[1] == STEP_WANT_INPUT)
            code[1] = step(&f->server);
    } while (move(&f->server, &f->client));
    *server = code[1];
    return code[0];
}

static void accept(struct fixture *f)
{
    int server;
    assert_int_equal(meet(f, &server), STEP_DONE);
    assert_int_equal(server, STEP_DONE);
    assert_int_equal(f->client.result.remote_peer_len, 0);
}

static void refuse(struct fixture *f, const char *sentence)
{
    int server;
    assert_int_equal(meet(f, &server), P2P_EHANDSHAKE);
    assert_string_equal(f->client.result.error, sentence);
    assert_int_equal(server, P2P_EHANDSHAKE);
    assert_string_equal(f->server.result.error, "the remote does not trust our web certificate");
    assert_int_equal(step(&f->client), P2P_EHANDSHAKE);
}

static void expect_data(struct end *from, struct end *to, size_t len)
{
    static uint8_t bytes[TLS_PLAIN_MAX], record[BYTES_MAX];
    memset(bytes, 0x5a, len);
    const struct p2p__const_iov iov = {bytes, len};
    struct span span;
    int64_t sealed = ops->seal(&from->state, &from->env, &iov, 1, record);
    assert_true(sealed > 0);
    assert_int_equal(p2p__buf_append(&to->in, to->env.pool, record, (size_t)sealed), 0);
    assert_int_equal(ops->open(&to->state, &to->env, &to->in, &span), STEP_DONE);
    assert_int_equal(span.len, len);
    assert_memory_equal(span.base, bytes, len);
}

/* ---- good ---- */

static void test_data_both_ways(void **state)
{
    struct fixture *f = *state;
    accept(f);
    expect_data(&f->client, &f->server, 1);
    expect_data(&f->server, &f->client, TLS_PLAIN_MAX);
    expect_data(&f->client, &f->server, TLS_PLAIN_MAX);
}

static void test_kinds_of_keys(void **state)
{
    struct fixture *f = *state;
    static const struct web_recipe good[] = {
        {.names = "DNS:node.example", .kind = "RSA"},
        {.names = "DNS:node.example", .kind = "RSA", .rsa_bits = 3072},
        {.names = "DNS:node.example", .kind = "ED25519"},
        {.names = "DNS:node.example", .curve = "P-384"},
        {.names = "DNS:node.example", .curve = "P-521"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct web_cert cert;
        web_cert_init(&cert, &good[i], &f->root);
        serve(f, &cert);
        accept(f);
        web_cert_fini(&cert);
    }
}

static void test_an_intermediate_is_served(void **state)
{
    struct fixture *f = *state;
    struct web_cert middle, leaf;
    web_cert_init(&middle, &(struct web_recipe){.authority = true, .common_name = "middle"},
                  &f->root);
    web_cert_init(&leaf, &(struct web_recipe){.names = "DNS:node.example"}, &middle);
    serve(f, &leaf); /* without the intermediate nobody can follow */
    refuse(f, "the remote's web certificate is not signed by an authority that is trusted here");
    char *chain = calloc(1, strlen(leaf.pem) + strlen(middle.pem) + 1);
    strcpy(chain, leaf.pem);
    strcat(chain, middle.pem);
    struct web_pem pair = web_pair(&leaf);
    pair.chain = chain;
    pair.chain_len = strlen(chain);
    serve_pairs(f, &pair, 1);
    accept(f);
    free(chain);
    web_cert_fini(&middle);
    web_cert_fini(&leaf);
}

/* A node with a certificate of its own making, named as it is. */
static void test_a_certificate_may_be_trusted_itself(void **state)
{
    struct fixture *f = *state;
    trust(f, &f->site);
    accept(f);
}

/* ---- names ---- */

static void name_case(struct fixture *f, const char *names, const char *asked, const char *sentence)
{
    struct web_cert cert;
    web_cert_init(&cert, &(struct web_recipe){.names = names, .common_name = asked}, &f->root);
    serve(f, &cert);
    f->client.config.server_name = asked;
    if (sentence)
        refuse(f, sentence);
    else
        accept(f);
    web_cert_fini(&cert);
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    static const char other[] = "the remote's web certificate is for another name";
    static const char other_ip[] = "the remote's web certificate is not for its IP address";
    name_case(f, "DNS:node.example", "NODE.Example", NULL);
    name_case(f, "DNS:node.example", "node.example.", NULL);
    name_case(f, "DNS:x.example,DNS:node.example", "node.example", NULL);
    name_case(f, "DNS:*.example.org", "a.example.org", NULL);
    name_case(f, "DNS:*.example.org", "a.b.example.org", other);
    name_case(f, "DNS:*.example.org", "example.org", other);
    name_case(f, "DNS:a*.example.org", "ab.example.org", other);
    name_case(f, "DNS:node.example", "node.example.evil.org", other);
    name_case(f, "DNS:node.example", "ode.example", other);
    name_case(f, "email:a@node.example", "node.example", other);
    name_case(f, NULL, "node.example", other); /* the common name is none */
    name_case(f, "IP:127.0.0.1", "127.0.0.1", NULL);
    name_case(f, "IP:127.0.0.1", "127.0.0.2", other_ip);
    name_case(f, "DNS:127.0.0.1", "127.0.0.1", other_ip);
    name_case(f, "IP:::1", "::1", NULL);
    name_case(f, "IP:::1", "0:0:0:0:0:0:0:1", NULL);
    name_case(f, "IP:::1", "::2", other_ip);
    name_case(f, "IP:127.0.0.1", "node.example", other);
}

static void test_names_that_are_none(void **state)
{
    struct fixture *f = *state;
    char long_name[260];
    memset(long_name, 'a', sizeof long_name);
    long_name[254] = '\0';
    const char *bad[] = {"", long_name};
    for (size_t i = 0; i < 2; i++) {
        f->client.config.server_name = bad[i];
        f->client.handshake = (struct web_handshake){0};
        assert_int_equal(
            ops->start(&f->client.state, &f->client.handshake, &f->client.config, &f->client.env),
            P2P_EADDR);
        ops->handshake_fini(&f->client.handshake);
    }
}

static void test_sni_selects_among_several(void **state)
{
    struct fixture *f = *state;
    struct web_cert wild;
    web_cert_init(&wild, &(struct web_recipe){.names = "DNS:*.wild.example,IP:127.0.0.1"},
                  &f->root);
    struct web_pem pairs[2] = {web_pair(&f->site), web_pair(&wild)};
    serve_pairs(f, pairs, 2);
    accept(f);
    f->client.config.server_name = "a.wild.example";
    accept(f);
    /* No name, or a strange one: the first. */
    f->client.config.server_name = "127.0.0.1";
    refuse(f, "the remote's web certificate is not for its IP address");
    f->client.config.server_name = "strange.example";
    refuse(f, "the remote's web certificate is for another name");
    pairs[0] = web_pair(&wild);
    pairs[1] = web_pair(&f->site);
    serve_pairs(f, pairs, 2);
    f->client.config.server_name = "127.0.0.1";
    accept(f);
    web_cert_fini(&wild);
}

/* ---- trust ---- */

static void test_authorities(void **state)
{
    struct fixture *f = *state;
    static const char untrusted[] =
        "the remote's web certificate is not signed by an authority that is trusted here";
    struct web_cert other, own, weak;
    web_authority(&other, "other");
    trust(f, &other);
    refuse(f, untrusted);
    trust(f, &f->root);
    web_cert_init(&own, &(struct web_recipe){.names = "DNS:node.example"}, NULL);
    serve(f, &own);
    refuse(f, untrusted);
    /* Signed by a certificate that may not sign. */
    web_cert_init(&weak, &(struct web_recipe){.names = "DNS:node.example"}, &f->site);
    char *chain = calloc(1, strlen(weak.pem) + strlen(f->site.pem) + 1);
    strcpy(chain, weak.pem);
    strcat(chain, f->site.pem);
    struct web_pem pair = web_pair(&weak);
    pair.chain = chain;
    pair.chain_len = strlen(chain);
    serve_pairs(f, &pair, 1);
    refuse(f, untrusted);
    free(chain);
    web_cert_fini(&other);
    web_cert_fini(&own);
    web_cert_fini(&weak);
}

/* The roots of the system know nothing of ours. */
static void test_the_systems_roots(void **state)
{
    struct fixture *f = *state;
    p2p__web_free(f->client.env.web);
    f->client.env.web = p2p__web_new();
    refuse(f, "the remote's web certificate is not signed by an authority that is trusted here");
}

static void test_a_client_certificate_is_no_servers(void **state)
{
    struct fixture *f = *state;
    struct web_cert cert;
    web_cert_init(&cert, &(struct web_recipe){.names = "DNS:node.example", .client_usage = true},
                  &f->root);
    serve(f, &cert);
    int server;
    assert_int_equal(meet(f, &server), P2P_EHANDSHAKE);
    assert_string_equal(f->client.result.error, "the remote's web certificate does not verify");
    web_cert_fini(&cert);
}

static void date_case(struct fixture *f, int64_t from, int64_t to, const char *sentence)
{
    struct web_cert cert;
    web_cert_init(
        &cert,
        &(struct web_recipe){.names = "DNS:node.example", .not_before_s = from, .not_after_s = to},
        &f->root);
    serve(f, &cert);
    if (sentence)
        refuse(f, sentence);
    else
        accept(f);
    web_cert_fini(&cert);
}

static void test_dates(void **state)
{
    if (sizeof(time_t) < 8) /* OpenSSL cannot be told of the web's later dates there */
        skip();
    struct fixture *f = *state;
    date_case(f, WEB_NOW_S - 1, WEB_NOW_S + 1, NULL);
    date_case(f, WEB_NOW_S + 1, WEB_NOW_S + 9, "the remote's web certificate is not valid yet");
    date_case(f, WEB_NOW_S - 9, WEB_NOW_S - 1, "the remote's web certificate has expired");
    date_case(f, WEB_NOW_S - 9, 67090000000, NULL); /* the year 4096 */
}

/* ---- what a server shows ---- */

static void unusable(struct fixture *f, const char *chain, const char *key, bool in_key,
                     const char *sentence)
{
    struct web_pem pairs[2] = {web_pair(&f->site), {chain, strlen(chain), key, strlen(key)}};
    struct web_fault fault;
    assert_int_equal(p2p__web_serve(f->server.env.web, pairs, 2, &fault), P2P_EKEY);
    assert_int_equal(fault.pair, 1);
    assert_int_equal(fault.key, in_key);
    assert_string_equal(fault.sentence, sentence);
    accept(f); /* the old one is still served */
}

static void test_pem_that_cannot_be_used(void **state)
{
    struct fixture *f = *state;
    static const char no_cert[] = "its text holds no certificate in PEM";
    static const char no_key[] = "its text holds no private key in PEM";
    static const char broken[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    static const char broken_key[] =
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    const struct web_cert *site = &f->site;
    struct web_cert other, weak, odd;
    web_cert_init(&other, &(struct web_recipe){.names = "DNS:node.example"}, &f->root);
    unusable(f, "", site->key_pem, false, no_cert);
    unusable(f, "hello\n", site->key_pem, false, no_cert);
    unusable(f, site->key_pem, site->key_pem, false, no_cert);
    unusable(f, broken, site->key_pem, false, "its certificate is malformed");
    unusable(f, site->pem, "", true, no_key);
    unusable(f, site->pem, site->pem, true, no_key);
    unusable(f, site->pem, broken_key, true, "its private key is malformed");
    unusable(f, site->pem, other.key_pem, true, "its private key is not the certificate's");
    web_cert_init(&weak, &(struct web_recipe){.kind = "RSA", .rsa_bits = 1024}, &f->root);
    unusable(f, weak.pem, weak.key_pem, true, "its kind of key is not good for TLS 1.3");
    web_cert_init(&odd, &(struct web_recipe){.kind = "ED448"}, &f->root);
    unusable(f, odd.pem, odd.key_pem, true, "its kind of key is not good for TLS 1.3");
    web_cert_fini(&other);
    web_cert_fini(&weak);
    web_cert_fini(&odd);
}

static void test_an_encrypted_key_asks_nobody(void **state)
{
    struct fixture *f = *state;
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, f->site.key, EVP_aes_128_cbc(), (const unsigned char *)"secret",
                             6, NULL, NULL);
    char *pem = web_pem_of(bio);
    unusable(f, f->site.pem, pem, true, "its private key is encrypted");
    free(pem);
}

static void test_the_longest_chain(void **state)
{
    struct fixture *f = *state;
    size_t len = strlen(f->site.pem);
    char *chain = calloc(WEB_CHAIN_MAX + 2, len);
    for (int i = 0; i < WEB_CHAIN_MAX; i++)
        strcat(chain, f->site.pem);
    struct web_pem pair = web_pair(&f->site);
    pair.chain = chain;
    pair.chain_len = strlen(chain);
    serve_pairs(f, &pair, 1);
    accept(f);
    strcat(chain, f->site.pem);
    unusable(f, chain, f->site.key_pem, false, "its certificates are too many");
    free(chain);
}

static void test_roots_that_cannot_be_used(void **state)
{
    struct fixture *f = *state;
    const char *error = NULL;
    assert_int_equal(p2p__web_trust(f->client.env.web, "", 0, &error), P2P_EKEY);
    assert_string_equal(error, "its text holds no certificate in PEM");
    accept(f); /* the old ones still hold */
}

static void test_nothing_to_serve(void **state)
{
    struct fixture *f = *state;
    int server;
    assert_true(p2p__web_serves(f->server.env.web));
    p2p__web_free(f->server.env.web);
    f->server.env.web = p2p__web_new();
    assert_false(p2p__web_serves(f->server.env.web));
    assert_int_equal(meet(f, &server), P2P_EHANDSHAKE);
    assert_int_equal(server, P2P_EHANDSHAKE);
}

/* A renewal while a client is in the middle of its handshake. */
static void test_served_anew_in_mid_handshake(void **state)
{
    struct fixture *f = *state;
    struct web_cert next;
    web_cert_init(&next, &(struct web_recipe){.names = "DNS:node.example"}, &f->root);
    end_start(&f->client);
    end_start(&f->server);
    assert_int_equal(step(&f->client), STEP_WANT_INPUT);
    move(&f->client, &f->server);
    assert_int_equal(step(&f->server), STEP_WANT_INPUT);
    serve(f, &next);
    move(&f->server, &f->client);
    assert_int_equal(step(&f->client), STEP_DONE);
    X509 *seen = SSL_get0_peer_certificate(f->client.handshake.tls.ssl);
    assert_int_equal(X509_cmp(seen, f->site.cert), 0);
    accept(f);
    seen = SSL_get0_peer_certificate(f->client.handshake.tls.ssl);
    assert_int_equal(X509_cmp(seen, next.cert), 0);
    web_cert_fini(&next);
}

/* ---- strangers ---- */

struct stranger {
    SSL_CTX *ctx;
    SSL *ssl;
};

static void stranger_init(struct stranger *self, const struct web_cert *cert)
{
    self->ctx = SSL_CTX_new(TLS_method());
    self->ssl = NULL;
    if (!cert)
        return;
    assert_int_equal(SSL_CTX_use_certificate(self->ctx, cert->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(self->ctx, cert->key), 1);
}

static void stranger_fini(struct stranger *self)
{
    SSL_free(self->ssl);
    SSL_CTX_free(self->ctx);
    ERR_clear_error();
}

static size_t exchange(struct stranger *self, struct end *end)
{
    static uint8_t bytes[BYTES_MAX];
    struct iov iov[8];
    size_t sent = 0, n = p2p__outq_iov(&end->out, iov, 8, BYTES_MAX, &sent);
    for (size_t i = 0; i < n; i++)
        BIO_write(SSL_get_rbio(self->ssl), iov[i].base, (int)iov[i].len);
    outq_consume(&end->out, end->env.pool, sent);
    int got = BIO_read(SSL_get_wbio(self->ssl), bytes, sizeof bytes);
    if (got > 0)
        assert_int_equal(p2p__buf_append(&end->in, end->env.pool, bytes, (size_t)got), 0);
    return sent + (got > 0 ? (size_t)got : 0);
}

/* Our end's code; the stranger's success in *theirs. */
static int greet(struct stranger *self, struct end *end, bool server, bool *theirs)
{
    int code = STEP_WANT_INPUT, quiet = 0;
    end_clear(end);
    end_start(end);
    self->ssl = SSL_new(self->ctx);
    SSL_set_bio(self->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (server)
        SSL_set_accept_state(self->ssl);
    else
        SSL_set_connect_state(self->ssl);
    do {
        if (code == STEP_WANT_INPUT)
            code = step(end);
        quiet = exchange(self, end) ? 0 : quiet + 1;
        *theirs = SSL_do_handshake(self->ssl) == 1;
        ERR_clear_error();
    } while (exchange(self, end) || quiet < 2);
    return code;
}

static void test_T10_older_versions(void **state)
{
    struct fixture *f = *state;
    bool theirs;
    for (int server = 0; server < 2; server++) {
        struct end *end = server ? &f->client : &f->server;
        struct stranger old;
        stranger_init(&old, &f->site);
        SSL_CTX_set_max_proto_version(old.ctx, TLS1_2_VERSION);
        assert_int_equal(greet(&old, end, server, &theirs), P2P_EHANDSHAKE);
        assert_false(theirs);
        assert_string_equal(end->result.error, "the remote does not speak TLS 1.3");
        stranger_fini(&old);
    }
}

static void test_alpn_of_clients(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *list;
        int code;
    } cases[] = {
        {NULL, STEP_DONE}, /* many send none */
        {"\x08http/1.1", STEP_DONE},
        {"\x02h2\x08http/1.1", STEP_DONE},
        {"\x02h2", P2P_ENOPROTO},
        {"\x08http/1.0", P2P_ENOPROTO},
        {"\x06libp2p", P2P_ENOPROTO}, /* TLS of libp2p comes after multistream-select */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stranger client;
        bool theirs;
        stranger_init(&client, NULL);
        if (cases[i].list)
            SSL_CTX_set_alpn_protos(client.ctx, (const unsigned char *)cases[i].list,
                                    (unsigned)strlen(cases[i].list));
        assert_int_equal(greet(&client, &f->server, false, &theirs), cases[i].code);
        assert_int_equal(theirs, cases[i].code == STEP_DONE);
        stranger_fini(&client);
    }
}

static void test_a_client_names_the_server(void **state)
{
    struct fixture *f = *state;
    struct stranger server;
    bool theirs;
    stranger_init(&server, &f->site);
    assert_int_equal(greet(&server, &f->client, true, &theirs), STEP_DONE);
    assert_true(theirs);
    assert_string_equal(SSL_get_servername(server.ssl, TLSEXT_NAMETYPE_host_name), "node.example");
    stranger_fini(&server);
}

static int answer_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *seen)
{
    static const unsigned char list[] = "\x08http/1.1";
    (void)ssl;
    *(bool *)seen = in_len == sizeof list - 1 && memcmp(in, list, in_len) == 0;
    *out = (const unsigned char *)"h2";
    *out_len = 2;
    return SSL_TLSEXT_ERR_OK;
}

static void test_a_server_may_not_choose_what_was_not_offered(void **state)
{
    struct fixture *f = *state;
    struct stranger server;
    bool theirs, seen = false;
    stranger_init(&server, &f->site);
    SSL_CTX_set_alpn_select_cb(server.ctx, answer_h2, &seen);
    assert_int_equal(greet(&server, &f->client, true, &theirs), P2P_EHANDSHAKE);
    assert_true(seen);
    stranger_fini(&server);
}

/* A server may ask for a client's certificate; we have none to show, and some let us in. */
static void test_a_server_that_asks_for_a_certificate(void **state)
{
    struct fixture *f = *state;
    struct stranger server;
    bool theirs;
    stranger_init(&server, &f->site);
    SSL_CTX_set_verify(server.ctx, SSL_VERIFY_PEER, NULL);
    assert_int_equal(greet(&server, &f->client, true, &theirs), STEP_DONE);
    assert_true(theirs);
    stranger_fini(&server);
}

/* OpenSSL's server sends two tickets behind its handshake. */
static void test_tickets_are_skipped(void **state)
{
    struct fixture *f = *state;
    struct stranger server;
    bool theirs;
    struct span span;
    stranger_init(&server, &f->site);
    assert_int_equal(greet(&server, &f->client, true, &theirs), STEP_DONE);
    assert_int_equal(SSL_write(server.ssl, "ping", 4), 4);
    exchange(&server, &f->client);
    do
        assert_int_equal(ops->open(&f->client.state, &f->client.env, &f->client.in, &span),
                         STEP_DONE);
    while (span.len == 0);
    assert_int_equal(span.len, 4);
    assert_memory_equal(span.base, "ping", 4);
    stranger_fini(&server);
}

static void test_no_tls_at_all(void **state)
{
    struct fixture *f = *state;
    static const char *const bytes[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\x13/multistream/1.0.0\n",          "\x16\x03\x01\xff\xff\x01\x02\x03\x04\x05\x06",
        "\x16\x03\x01\x00\x02\x01\x01\x01",
    };
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        struct end *const ends[] = {&f->client, &f->server};
        for (size_t k = 0; k < 2; k++) {
            size_t len = strlen(bytes[i]);
            end_clear(ends[k]);
            end_start(ends[k]);
            assert_int_equal(p2p__buf_append(&ends[k]->in, &f->pool, bytes[i], len), 0);
            int code = step(ends[k]);
            if (code == STEP_WANT_INPUT) /* half a record */
                continue;
            assert_int_equal(code, P2P_EHANDSHAKE);
            assert_non_null(ends[k]->result.error);
        }
    }
}

static void test_one_byte_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct end *const ends[] = {&f->client, &f->server};
    int code[2] = {STEP_WANT_INPUT, STEP_WANT_INPUT};
    end_start(&f->client);
    end_start(&f->server);
    for (int rounds = 0; rounds < 8; rounds++) {
        for (int i = 0; i < 2; i++) {
            struct iov iov[8];
            size_t total;
            if (code[i] == STEP_WANT_INPUT)
                code[i] = step(ends[i]);
            size_t n = p2p__outq_iov(&ends[i]->out, iov, 8, BYTES_MAX, &total);
            for (size_t k = 0; k < n; k++) {
                for (size_t b = 0; b < iov[k].len; b++) {
                    p2p__buf_append(&ends[1 - i]->in, &f->pool, iov[k].base + b, 1);
                    if (code[1 - i] == STEP_WANT_INPUT)
                        code[1 - i] = step(ends[1 - i]);
                }
            }
            outq_consume(&ends[i]->out, &f->pool, total);
        }
    }
    assert_int_equal(code[0], STEP_DONE);
    assert_int_equal(code[1], STEP_DONE);
    expect_data(&f->client, &f->server, 100);
}

static void test_close_notify(void **state)
{
    struct fixture *f = *state;
    struct span span;
    accept(f);
    assert_int_equal(ops->close(&f->client.state, &f->client.env, &f->client.out), 0);
    assert_true(move(&f->client, &f->server) > 0);
    assert_int_equal(ops->open(&f->server.state, &f->server.env, &f->server.in, &span), STEP_DONE);
    assert_int_equal(ops->open(&f->server.state, &f->server.env, &f->server.in, &span), P2P_EEOF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_data_both_ways),
        TEST(test_kinds_of_keys),
        TEST(test_an_intermediate_is_served),
        TEST(test_a_certificate_may_be_trusted_itself),
        TEST(test_names),
        TEST(test_names_that_are_none),
        TEST(test_sni_selects_among_several),
        TEST(test_authorities),
        TEST(test_the_systems_roots),
        TEST(test_a_client_certificate_is_no_servers),
        TEST(test_dates),
        TEST(test_pem_that_cannot_be_used),
        TEST(test_an_encrypted_key_asks_nobody),
        TEST(test_the_longest_chain),
        TEST(test_roots_that_cannot_be_used),
        TEST(test_nothing_to_serve),
        TEST(test_served_anew_in_mid_handshake),
        TEST(test_T10_older_versions),
        TEST(test_alpn_of_clients),
        TEST(test_a_client_names_the_server),
        TEST(test_a_server_may_not_choose_what_was_not_offered),
        TEST(test_a_server_that_asks_for_a_certificate),
        TEST(test_tickets_are_skipped),
        TEST(test_no_tls_at_all),
        TEST(test_one_byte_at_a_time),
        TEST(test_close_notify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
