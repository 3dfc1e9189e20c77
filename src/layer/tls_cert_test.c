#include "tests/test.h"

#include "layer/tls_forge.h"

#include "tests/hex.h"
#include "tests/vectors/tls_certs.h"

static int verify(const uint8_t *der, size_t len, int64_t wall_s, struct tls_peer *peer)
{
    const struct p2p__const_iov cert = {der, len};
    int code = p2p__tls_cert_verify(&cert, 1, wall_s, NULL, 0, peer);
    assert_true(code == 0 || (peer->error && peer->alert));
    assert_true(code == 0 || peer->id.len == 0);
    return code;
}

static void expect(const struct recipe *recipe, int code)
{
    struct tls_peer peer;
    struct forged forged;
    p2p_key *key = key_of(9);
    forge(recipe, key, &forged);
    int got = verify(forged.der, forged.len, NOW_S, &peer);
    if (got != code)
        fail_msg("%d instead of %d: %s", got, code, peer.error ? peer.error : "no error");
    if (code == 0)
        assert_true(p2p_peer_id_equal(&peer.id, p2p_key_peer_id(key)));
    forged_free(&forged);
    p2p_key_free(key);
}

static void accept(const struct recipe *recipe)
{
    expect(recipe, 0);
}

static void refuse(const struct recipe *recipe)
{
    expect(recipe, P2P_EHANDSHAKE);
}

static void test_T18_spec_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tls_vectors / sizeof *tls_vectors; i++) {
        uint8_t der[1024];
        size_t len = unhex(tls_vectors[i].cert, der, sizeof der);
        struct tls_peer peer;
        p2p_peer_id id;
        int code = verify(der, len, NOW_S, &peer);
        if (!tls_vectors[i].peer) {
            assert_int_equal(code, P2P_EHANDSHAKE);
            assert_non_null(strstr(peer.error, "did not prove"));
            continue;
        }
        assert_int_equal(code, 0);
        assert_int_equal(p2p_peer_id_parse(tls_vectors[i].peer, &id), 0);
        assert_true(p2p_peer_id_equal(&peer.id, &id));
    }
}

static void test_T18_all_host_keys_round_trip(void **state)
{
    (void)state;
    for (int type = P2P_KEY_RSA; type <= P2P_KEY_ECDSA; type++) {
        p2p_key *key;
        struct tls_cert cert;
        struct tls_peer peer;
        size_t pub_len;
        assert_int_equal(p2p_key_generate(type, &key), 0);
        assert_int_equal(p2p__tls_cert_generate(key, NOW_S, &cert), 0);
        assert_int_equal(verify(cert.cert, cert.cert_len, NOW_S, &peer), 0);
        assert_true(p2p_peer_id_equal(&peer.id, p2p_key_peer_id(key)));
        const uint8_t *pub = p2p_key_public(key, &pub_len);
        assert_int_equal(peer.public_key_len, pub_len);
        assert_memory_equal(peer.public_key, pub, pub_len);
        p2p_key_free(key);
    }
}

static void test_generated_validity_at_both_sides(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    struct tls_cert cert, again;
    struct tls_peer peer;
    assert_int_equal(p2p__tls_cert_generate(key, NOW_S, &cert), 0);
    assert_int_equal(cert.not_before_s, NOW_S - 3600);
    assert_int_equal(verify(cert.cert, cert.cert_len, cert.not_before_s - 1, &peer),
                     P2P_EHANDSHAKE);
    assert_int_equal(verify(cert.cert, cert.cert_len, cert.not_before_s, &peer), 0);
    assert_int_equal(verify(cert.cert, cert.cert_len, cert.not_after_s, &peer), 0);
    assert_int_equal(verify(cert.cert, cert.cert_len, cert.not_after_s + 1, &peer), P2P_EHANDSHAKE);
    assert_int_equal(peer.alert, 45);
    /* A key of its own, each time; and any clock will do, one that stands at 0 too. */
    assert_int_equal(p2p__tls_cert_generate(key, 0, &again), 0);
    assert_int_equal(verify(again.cert, again.cert_len, 0, &peer), 0);
    assert_memory_not_equal(cert.key, again.key, cert.key_len);
    p2p_key_free(key);
}

/* The largest key makes the largest certificate. */
static void test_generated_with_the_largest_key(void **state)
{
    (void)state;
    EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)4096);
    unsigned char *priv = NULL;
    int len = i2d_PrivateKey(rsa, &priv);
    p2p_key *key;
    struct tls_cert cert;
    struct tls_peer peer;
    assert_int_equal(p2p__key_from_private(P2P_KEY_RSA, priv, (size_t)len, &key), 0);
    assert_int_equal(p2p__tls_cert_generate(key, NOW_S, &cert), 0);
    assert_true(cert.cert_len < TLS_CERT_MAX && cert.key_len < TLS_CERT_KEY_MAX);
    assert_int_equal(verify(cert.cert, cert.cert_len, NOW_S, &peer), 0);
    OPENSSL_free(priv);
    EVP_PKEY_free(rsa);
    p2p_key_free(key);
}

static void test_every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    struct tls_cert cert;
    struct tls_peer peer;
    assert_int_equal(p2p__tls_cert_generate(key, NOW_S, &cert), 0);
    for (size_t bit = 0; bit < 8 * cert.cert_len; bit++) {
        cert.cert[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(verify(cert.cert, cert.cert_len, NOW_S, &peer), P2P_EHANDSHAKE);
        cert.cert[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(verify(cert.cert, cert.cert_len, NOW_S, &peer), 0);
    p2p_key_free(key);
}

static void test_cut_and_prolonged(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    struct tls_cert cert;
    struct tls_peer peer;
    assert_int_equal(p2p__tls_cert_generate(key, NOW_S, &cert), 0);
    for (size_t len = 0; len < cert.cert_len; len++)
        assert_int_equal(verify(cert.cert, len, NOW_S, &peer), P2P_EHANDSHAKE);
    cert.cert[cert.cert_len] = 0;
    assert_int_equal(verify(cert.cert, cert.cert_len + 1, NOW_S, &peer), P2P_EHANDSHAKE);
    p2p_key_free(key);
}

static void test_T02_extension_missing_or_empty(void **state)
{
    (void)state;
    refuse(&(struct recipe){.no_extension = true});
    refuse(&(struct recipe){.empty_extension = true});
    refuse(&(struct recipe){.trailing = true});
    refuse(&(struct recipe){.trailing_inside = true});
    refuse(&(struct recipe){.twice = true});
    refuse(&(struct recipe){.legacy_version = true});
}

static void test_T04_critical_extensions(void **state)
{
    (void)state;
    accept(&(struct recipe){0});
    accept(&(struct recipe){.critical = true});
    accept(&(struct recipe){.other_oid = "1.3.6.1.4.1.53594.99"});
    refuse(&(struct recipe){.other_oid = "1.3.6.1.4.1.53594.99", .other_critical = true});
    /* Another arc of ours, one digit away; and a known one that we do not process. */
    refuse(&(struct recipe){.other_oid = "1.3.6.1.4.1.53594.1.2", .other_critical = true});
    refuse(&(struct recipe){.other_oid = "2.5.29.30", .other_critical = true});
    accept(&(struct recipe){.other_oid = "2.5.29.19", .other_critical = true});
    accept(&(struct recipe){.key_usage = 0x80});
    refuse(&(struct recipe){.key_usage = 0x20});
}

static void test_T05_dates(void **state)
{
    (void)state;
    refuse(&(struct recipe){.not_after = "20251231235959Z"});
    refuse(&(struct recipe){.not_before = "20270101000000Z"});
    accept(&(struct recipe){.not_after = "40960101130000Z"});
    accept(&(struct recipe){.not_after = "99991231235959Z"});
    refuse(&(struct recipe){.not_before = "20270101000000Z", .not_after = "20260101000000Z"});
}

static void test_T06_none_or_two(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    struct tls_cert cert;
    struct tls_peer peer;
    assert_int_equal(p2p__tls_cert_generate(key, NOW_S, &cert), 0);
    const struct p2p__const_iov certs[2] = {{cert.cert, cert.cert_len}, {cert.cert, cert.cert_len}};
    for (size_t count = 0; count < 3; count++)
        assert_int_equal(p2p__tls_cert_verify(certs, count, NOW_S, NULL, 0, &peer),
                         count == 1 ? 0 : P2P_EHANDSHAKE);
    p2p_key_free(key);
}

static void test_T07_signatures(void **state)
{
    (void)state;
    refuse(&(struct recipe){.wrong_signer = true});
    refuse(&(struct recipe){.wrong_spki = true});
    refuse(&(struct recipe){.no_prefix = true});
}

static void test_T09_algorithms(void **state)
{
    (void)state;
    refuse(&(struct recipe){.hash = EVP_sha1});
    refuse(&(struct recipe){.kind = "RSA", .hash = EVP_sha1});
    refuse(&(struct recipe){.kind = "RSA", .hash = EVP_md5});
    refuse(&(struct recipe){.kind = "RSA", .hash = EVP_sha1, .pss = true});
    refuse(&(struct recipe){.kind = "RSA", .hash = EVP_sha224});
    refuse(&(struct recipe){.kind = "RSA", .rsa_bits = 1024});
    refuse(&(struct recipe){.kind = "RSA", .rsa_bits = 2040});
    refuse(&(struct recipe){.kind = "RSA", .rsa_bits = 4104});
    refuse(&(struct recipe){.kind = "RSA", .large_exponent = true});
    refuse(&(struct recipe){.curve = "P-384", .hash = EVP_sha256});
    refuse(&(struct recipe){.curve = "P-256", .hash = EVP_sha384});
    refuse(&(struct recipe){.curve = "P-521", .hash = EVP_sha256});
    refuse(&(struct recipe){.curve = "secp256k1", .hash = EVP_sha256});
    refuse(&(struct recipe){.explicit_curve = true});
    accept(&(struct recipe){.curve = "P-384", .hash = EVP_sha384});
    accept(&(struct recipe){.curve = "P-521", .hash = EVP_sha512});
    accept(&(struct recipe){.kind = "ED25519"});
    accept(&(struct recipe){.kind = "RSA"});
    accept(&(struct recipe){.kind = "RSA", .hash = EVP_sha512, .pss = true});
    accept(&(struct recipe){.kind = "RSA", .hash = EVP_sha384, .rsa_bits = 3072});
}

/* Spec: certificates must omit them. */
static void test_unique_ids(void **state)
{
    (void)state;
    struct tls_peer peer;
    struct forged forged;
    p2p_key *key = key_of(9);
    refuse(&(struct recipe){.unique_id = 1});
    refuse(&(struct recipe){.unique_id = 2});
    forge(&(struct recipe){.unique_id = 2}, key, &forged);
    verify(forged.der, forged.len, NOW_S, &peer);
    assert_string_equal(peer.error,
                        "the remote's certificate is of a kind that libp2p does not use");
    forged_free(&forged);
    p2p_key_free(key);
}

static void test_T12_another_peer_than_expected(void **state)
{
    (void)state;
    p2p_key *key = key_of(1), *other = key_of(2);
    const p2p_peer_id *want = p2p_key_peer_id(other), *is = p2p_key_peer_id(key);
    struct tls_cert cert;
    struct tls_peer peer;
    assert_int_equal(p2p__tls_cert_generate(key, NOW_S, &cert), 0);
    const struct p2p__const_iov der = {cert.cert, cert.cert_len};
    assert_int_equal(p2p__tls_cert_verify(&der, 1, NOW_S, want->bytes, want->len, &peer),
                     P2P_EPEERID);
    assert_true(p2p_peer_id_equal(&peer.id, is));
    assert_int_equal(p2p__tls_cert_verify(&der, 1, NOW_S, is->bytes, is->len - 1u, &peer),
                     P2P_EPEERID);
    assert_int_equal(p2p__tls_cert_verify(&der, 1, NOW_S, is->bytes, is->len, &peer), 0);
    p2p_key_free(key);
    p2p_key_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_T18_spec_vectors),
        cmocka_unit_test(test_T18_all_host_keys_round_trip),
        cmocka_unit_test(test_generated_validity_at_both_sides),
        cmocka_unit_test(test_generated_with_the_largest_key),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_cut_and_prolonged),
        cmocka_unit_test(test_T02_extension_missing_or_empty),
        cmocka_unit_test(test_T04_critical_extensions),
        cmocka_unit_test(test_T05_dates),
        cmocka_unit_test(test_T06_none_or_two),
        cmocka_unit_test(test_T07_signatures),
        cmocka_unit_test(test_T09_algorithms),
        cmocka_unit_test(test_unique_ids),
        cmocka_unit_test(test_T12_another_peer_than_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
