#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <p2p/error.h>

#include "codec/psk.h"
#include "tests/hex.h"

#define HEADER "/key/swarm/psk/1.0.0/\n"
#define HEX    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BASE64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void expect_key(const uint8_t psk[32])
{
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(psk[i], i);
}

static void accept_n(const char *text, size_t len)
{
    uint8_t psk[32];
    char why[128] = "x";
    assert_int_equal(p2p__psk_decode((const uint8_t *)text, len, psk, why, sizeof why), 0);
    assert_string_equal(why, "");
    expect_key(psk);
    assert_int_equal(p2p__psk_decode((const uint8_t *)text, len, psk, NULL, 0), 0);
}

static void accept_text(const char *text)
{
    accept_n(text, strlen(text));
}

static void refuse_n(const char *text, size_t len, const char *expected)
{
    static const uint8_t zero[32];
    uint8_t psk[32];
    char why[128];
    memset(psk, 1, sizeof psk);
    assert_int_equal(p2p__psk_decode((const uint8_t *)text, len, psk, why, sizeof why), P2P_EKEY);
    assert_string_equal(why, expected);
    assert_memory_equal(psk, zero, 32);
    assert_int_equal(p2p__psk_decode((const uint8_t *)text, len, psk, NULL, 0), P2P_EKEY);
}

static void refuse(const char *text, const char *expected)
{
    refuse_n(text, strlen(text), expected);
}

static void test_base16(void **state)
{
    (void)state;
    accept_text(HEADER "/base16/\n" HEX);
    accept_text(HEADER "/base16/\n" HEX "\n");
    accept_text("/key/swarm/psk/1.0.0/\r\n/base16/\r\n" HEX "\r\n");
    accept_text("/key/swarm/psk/1.0.0/ \n/base16/\t\n" HEX "  \n\n");
    accept_text(HEADER "/base16/\n"
                       "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
}

static void test_base64(void **state)
{
    (void)state;
    accept_text(HEADER "/base64/\n" BASE64);
    accept_text(HEADER "/base64/\r\n" BASE64 "\r\n");
}

static void test_bin(void **state)
{
    (void)state;
    char text[128] = HEADER "/bin/\n";
    size_t len = strlen(text);
    for (char i = 0; i < 32; i++)
        text[len + (size_t)i] = i;
    accept_n(text, len + 32);
    text[len + 32] = '\n';
    accept_n(text, len + 33);
    text[len + 32] = '\r';
    text[len + 33] = '\n';
    accept_n(text, len + 34);
    refuse_n(text, len + 31, "its key has 31 bytes, and must have 32");
    text[len + 32] = 'x';
    refuse_n(text, len + 33, "its key has 33 bytes, and must have 32");
    /* White space may be part of the key, also at its end. */
    text[len + 31] = '\n';
    uint8_t psk[32];
    assert_int_equal(p2p__psk_decode((uint8_t *)text, len + 32, psk, NULL, 0), 0);
    assert_int_equal(psk[31], '\n');
}

static void test_not_a_swarm_key(void **state)
{
    (void)state;
    const char *no = "it is no swarm key: its first line is not /key/swarm/psk/1.0.0/";
    refuse("", "it is empty");
    refuse("\n", no);
    refuse(HEX, no);
    refuse(" " HEADER "/base16/\n" HEX, no);
    refuse("/key/swarm/psk/1.0.0\n/base16/\n" HEX,
           "it is a swarm key of another version than 1.0.0");
    refuse("/key/swarm/psk/2.0.0/\n/base16/\n" HEX,
           "it is a swarm key of another version than 1.0.0");
    refuse("/key/swarm/psk\n", no);
}

static void test_encoding(void **state)
{
    (void)state;
    const char *no = "its second line is none of /base16/, /base64/ and /bin/";
    refuse(HEADER, no);
    refuse("/key/swarm/psk/1.0.0/", no);
    refuse(HEADER HEX "\n", no);
    refuse(HEADER "/base16\n" HEX, no);
    refuse(HEADER "/base58/\n" HEX, no);
}

static void test_key(void **state)
{
    (void)state;
    const char *none = "it ends before its key, the third line";
    refuse(HEADER "/base16/", none);
    refuse(HEADER "/base16/\n", none);
    refuse(HEADER "/base64/\n\n" BASE64, none);
    refuse(HEADER "/bin/\n", "its key has 0 bytes, and must have 32");
    refuse(HEADER "/base16/\n" HEX "0", "its key, the third line, is not valid base16");
    refuse(HEADER "/base16/\ng" HEX, "its key, the third line, is not valid base16");
    refuse(HEADER "/base16/\n " HEX, "its key, the third line, is not valid base16");
    refuse(HEADER "/base16/\n" HEX "00", "its key has 33 bytes, and must have 32");
    refuse(HEADER "/base16/\n00", "its key has 1 bytes, and must have 32");
    refuse(HEADER "/base16/\n" HEX "\n00", "something follows its key, the third line");
    refuse(HEADER "/base64/\n" HEX, "its key has 48 bytes, and must have 32");
    refuse(HEADER "/base64/\nAAE", "its key, the third line, is not valid base64");
}

static void test_size_limit(void **state)
{
    (void)state;
    char text[P2P__PSK_FILE_MAX + 1] = HEADER "/base16/\n" HEX;
    size_t len = strlen(text);
    memset(text + len, '\n', sizeof text - len);
    accept_n(text, P2P__PSK_FILE_MAX);
    refuse_n(text, P2P__PSK_FILE_MAX + 1, "it is too large for a swarm key (over 1024 bytes)");
}

static void test_why_is_cut(void **state)
{
    (void)state;
    char why[8];
    uint8_t psk[32];
    assert_int_equal(p2p__psk_decode((const uint8_t *)"x", 1, psk, why, sizeof why), P2P_EKEY);
    assert_string_equal(why, "it is n");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

static void test_load(void **state)
{
    (void)state;
    char dir[] = "/tmp/p2p-psk-XXXXXX", path[64], why[192];
    uint8_t psk[32];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/swarm.key", dir);
    assert_int_equal(p2p__psk_load(path, psk, why, sizeof why), P2P_EFILE);
    assert_non_null(strstr(why, path));
    assert_non_null(strstr(why, "No such file"));
    assert_int_equal(p2p__psk_load(dir, psk, why, sizeof why), P2P_EFILE);
    write_file(path, HEADER "/base16/\n" HEX "\n");
    assert_int_equal(p2p__psk_load(path, psk, why, sizeof why), 0);
    assert_string_equal(why, "");
    expect_key(psk);
    assert_int_equal(p2p__psk_load(path, psk, NULL, 0), 0);
    write_file(path, "nonsense");
    assert_int_equal(p2p__psk_load(path, psk, why, sizeof why), P2P_EKEY);
    assert_non_null(strstr(why, path));
    assert_non_null(strstr(why, ": it is no swarm key"));
    char big[P2P__PSK_FILE_MAX + 2];
    memset(big, ' ', sizeof big - 1);
    big[sizeof big - 1] = 0;
    write_file(path, big);
    assert_int_equal(p2p__psk_load(path, psk, why, sizeof why), P2P_EKEY);
    assert_non_null(strstr(why, "too large"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* Computed with kubo's own function (golang.org/x/crypto's Salsa20 and SHAKE128). */
static void test_fingerprint(void **state)
{
    (void)state;
    uint8_t psk[32], out[16], expected[16];
    for (size_t i = 0; i < 32; i++)
        psk[i] = (uint8_t)(i * 7 + 1);
    unhex("ca214809a890947a434468ed2bbf24af", expected, 16);
    assert_int_equal(p2p__psk_fingerprint(psk, out), 0);
    assert_memory_equal(out, expected, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base16),     cmocka_unit_test(test_base64),
        cmocka_unit_test(test_bin),        cmocka_unit_test(test_not_a_swarm_key),
        cmocka_unit_test(test_encoding),   cmocka_unit_test(test_key),
        cmocka_unit_test(test_size_limit), cmocka_unit_test(test_why_is_cut),
        cmocka_unit_test(test_load),       cmocka_unit_test(test_fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
