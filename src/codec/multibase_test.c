#include "tests/test.h"

#include <string.h>

#include <p2p/error.h>

#include "codec/multibase.h"

static const char every_base[] = "fFbBcCvVtTkKzZmMuU";

static int64_t decode(const char *text, uint8_t *out, size_t out_cap)
{
    return p2p__multibase_decode(text, strlen(text), out, out_cap, NULL);
}

/* multiformats/multibase, tests/: basic, leading_zero, two_leading_zeros, in the order of
 * every_base. */
static const char *const vectors[3][18] = {
    {"f796573206d616e692021", "F796573206D616E692021", "bpfsxgidnmfxgsibb", "BPFSXGIDNMFXGSIBB",
     "cpfsxgidnmfxgsibb", "CPFSXGIDNMFXGSIBB", "vf5in683dc5n6i811", "VF5IN683DC5N6I811",
     "tf5in683dc5n6i811", "TF5IN683DC5N6I811", "k2lcpzo5yikidynfl", "K2LCPZO5YIKIDYNFL",
     "z7paNL19xttacUY", "Z7Pznk19XTTzBtx", "meWVzIG1hbmkgIQ",
     "MeWVzIG1hbmkgIQ==", "ueWVzIG1hbmkgIQ", "UeWVzIG1hbmkgIQ=="},
    {"f00796573206d616e692021", "F00796573206D616E692021", "bab4wk4zanvqw42jaee",
     "BAB4WK4ZANVQW42JAEE", "cab4wk4zanvqw42jaee======", "CAB4WK4ZANVQW42JAEE======",
     "v01smasp0dlgmsq9044", "V01SMASP0DLGMSQ9044",
     "t01smasp0dlgmsq9044======", "T01SMASP0DLGMSQ9044======", "k02lcpzo5yikidynfl",
     "K02LCPZO5YIKIDYNFL", "z17paNL19xttacUY", "Z17Pznk19XTTzBtx", "mAHllcyBtYW5pICE",
     "MAHllcyBtYW5pICE=", "uAHllcyBtYW5pICE", "UAHllcyBtYW5pICE="},
    {"f0000796573206d616e692021", "F0000796573206D616E692021", "baaahszltebwwc3tjeaqq",
     "BAAAHSZLTEBWWC3TJEAQQ", "caaahszltebwwc3tjeaqq====", "CAAAHSZLTEBWWC3TJEAQQ====",
     "v0007ipbj41mm2rj940gg", "V0007IPBJ41MM2RJ940GG",
     "t0007ipbj41mm2rj940gg====", "T0007IPBJ41MM2RJ940GG====", "k002lcpzo5yikidynfl",
     "K002LCPZO5YIKIDYNFL", "z117paNL19xttacUY", "Z117Pznk19XTTzBtx", "mAAB5ZXMgbWFuaSAh",
     "MAAB5ZXMgbWFuaSAh", "uAAB5ZXMgbWFuaSAh", "UAAB5ZXMgbWFuaSAh"},
};

static void test_spec_vectors(void **state)
{
    (void)state;
    static const uint8_t plain[] = "\0\0yes mani !";
    for (size_t zeros = 0; zeros < 3; zeros++) {
        const uint8_t *bytes = plain + 2 - zeros;
        size_t len = 10 + zeros;
        for (size_t i = 0; every_base[i]; i++) {
            char text[64];
            uint8_t back[64];
            char base = 0;
            int64_t n = p2p__multibase_encode(every_base[i], bytes, len, text, sizeof(text));
            assert_string_equal(text, vectors[zeros][i]);
            assert_int_equal(n, strlen(text));
            assert_int_equal(p2p__multibase_decode(text, (size_t)n, back, sizeof(back), &base),
                             len);
            assert_memory_equal(back, bytes, len);
            assert_int_equal(base, every_base[i]);
        }
    }
}

static void test_letter_case_vectors(void **state)
{
    (void)state;
    static const char *const mixed[] = {
        "f68656c6c6f20776F726C64",   "F68656c6c6f20776F726C64",   "bnbswy3dpeB3W64TMMQ",
        "Bnbswy3dpeB3W64TMMQ",       "vd1imor3f41RMUSJCCG",       "Vd1imor3f41RMUSJCCG",
        "cnbswy3dpeB3W64TMMQ======", "Cnbswy3dpeB3W64TMMQ======", "td1imor3f41RMUSJCCG======",
        "Td1imor3f41RMUSJCCG======", "kfUvrsIvVnfRbjWaJo",        "KfUVrSIVVnFRbJWAJo",
    };
    for (size_t i = 0; i < sizeof(mixed) / sizeof(mixed[0]); i++) {
        uint8_t out[32];
        assert_int_equal(decode(mixed[i], out, sizeof(out)), 11);
        assert_memory_equal(out, "hello world", 11);
    }
}

/* RFC 4648, section 10. */
static void test_rfc4648_vectors(void **state)
{
    (void)state;
    static const char *const rows[][4] = {
        {"", "", "", ""},
        {"f", "Zg==", "MY======", "CO======"},
        {"fo", "Zm8=", "MZXQ====", "CPNG===="},
        {"foo", "Zm9v", "MZXW6===", "CPNMU==="},
        {"foob", "Zm9vYg==", "MZXW6YQ=", "CPNMUOG="},
        {"fooba", "Zm9vYmE=", "MZXW6YTB", "CPNMUOJ1"},
        {"foobar", "Zm9vYmFy", "MZXW6YTBOI======", "CPNMUOJ1E8======"},
    };
    static const char codes[] = "MCT";
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        for (size_t i = 0; i < 3; i++) {
            char text[32];
            size_t len = strlen(rows[row][0]);
            assert_true(p2p__base_encode(codes[i], (const uint8_t *)rows[row][0], len, text,
                                         sizeof(text)) >= 0);
            assert_string_equal(text, rows[row][i + 1]);
            uint8_t back[8];
            assert_int_equal(p2p__base_decode(codes[i], text, strlen(text), back, 8), len);
            assert_memory_equal(back, rows[row][0], len);
        }
    }
}

static void test_malformed_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        /* half a byte, a foreign character */
        "f0",
        "f0g",
        "f 00",
        "f0x00",
        /* impossible lengths */
        "ba",
        "baaa",
        "baaaaaa",
        "ma",
        "maaaaa",
        /* spare bits that are not zero */
        "bab",
        "mZh",
        "mZm9",
        "vcp",
        /* digits of the other alphabet */
        "m-_AA",
        "u+/AA",
        "b1aaa",
        "b8aaa",
        "vzzzz",
        /* padding: where none belongs, missing, short, too long, inside */
        "mZg==",
        "uZg==",
        "bmy======",
        "MZg",
        "MZg=",
        "MZg===",
        "MZ===",
        "M====",
        "MZm9v====",
        "MZ=g=",
        "cmy=====",
        "cmy",
        "c========",
        "M=Zg=",
        "MZg==Zg==",
        /* not of base 58 */
        "z0",
        "zO",
        "zI",
        "zl",
        "z ",
        "z1\x80",
        "Z0",
        "ZO",
        "ZI",
        "Zl",
        "k-",
        "k_",
        "k{",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t out[64];
        if (decode(bad[i], out, sizeof(out)) != P2P_EPROTO)
            fail_msg("not refused: %s", bad[i]);
    }
    uint8_t out[8];
    assert_int_equal(p2p__multibase_decode("mA\0AA", 5, out, 8, NULL), P2P_EPROTO);
    assert_int_equal(p2p__multibase_decode("b\0aaa", 5, out, 8, NULL), P2P_EPROTO);
    assert_int_equal(p2p__multibase_decode("z\0", 2, out, 8, NULL), P2P_EPROTO);
    assert_int_equal(decode("x00", out, 8), P2P_EINVAL);
    assert_int_equal(decode("700", out, 8), P2P_EINVAL);
    assert_int_equal(p2p__multibase_encode('x', out, 1, (char *)out, 8), P2P_EINVAL);
    assert_int_equal(p2p__base_encode('=', out, 1, (char *)out, 8), P2P_EINVAL);
}

static void test_P18_base58_with_foreign_letters(void **state)
{
    (void)state;
    static const char id[] = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
    uint8_t out[64];
    assert_int_equal(p2p__base58_decode(id, strlen(id), out, sizeof(out)), 34);
    assert_int_equal(p2p__base58_decode(id, strlen(id), out, 34), 34);
    assert_int_equal(p2p__base58_decode(id, strlen(id), out, 33), P2P_ETOOBIG);
    for (const char *foreign = "0OIl"; *foreign; foreign++) {
        for (size_t at = 0; at < strlen(id); at++) {
            char copy[sizeof(id)];
            memcpy(copy, id, sizeof(id));
            copy[at] = *foreign;
            assert_int_equal(p2p__base58_decode(copy, strlen(copy), out, sizeof(out)), P2P_EPROTO);
        }
    }
}

static void test_identity_base(void **state)
{
    (void)state;
    char text[8];
    uint8_t out[8];
    assert_int_equal(p2p__multibase_encode('\0', (const uint8_t *)"a\0b", 3, text, 8), 4);
    assert_memory_equal(text, "\0a\0b", 5);
    assert_int_equal(p2p__multibase_decode(text, 4, out, 3, NULL), 3);
    assert_memory_equal(out, "a\0b", 3);
    assert_int_equal(p2p__multibase_decode(text, 4, out, 2, NULL), P2P_ETOOBIG);
    assert_int_equal(p2p__multibase_encode('\0', (const uint8_t *)"abc", 3, text, 4), P2P_ETOOBIG);
    assert_int_equal(p2p__base_encode('\0', NULL, 0, text, 0), P2P_ETOOBIG);
}

/* Every base, every length to 70: text and back, in memory that just suffices and one less. */
static void test_exact_capacity_round_trips(void **state)
{
    (void)state;
    uint8_t bytes[70];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 151 + 3);
    for (size_t b = 0; every_base[b]; b++) {
        for (size_t len = 0; len <= sizeof(bytes); len++) {
            for (size_t zeros = 0; zeros <= len && zeros < 4; zeros++) {
                uint8_t in[70] = {0};
                memcpy(in + zeros, bytes, len - zeros);
                char text[160];
                uint8_t back[70];
                int64_t n = p2p__multibase_encode(every_base[b], in, len, text, sizeof(text));
                assert_true(n > 0);
                assert_int_equal(text[n], '\0');
                char again[160];
                size_t cap = (size_t)n + 1;
                assert_int_equal(p2p__multibase_encode(every_base[b], in, len, again, cap), n);
                assert_string_equal(again, text);
                assert_int_equal(p2p__multibase_encode(every_base[b], in, len, again, cap - 1),
                                 P2P_ETOOBIG);
                assert_int_equal(p2p__multibase_decode(text, (size_t)n, back, len, NULL), len);
                assert_memory_equal(back, in, len);
                if (len > 0)
                    assert_int_equal(p2p__multibase_decode(text, (size_t)n, back, len - 1, NULL),
                                     P2P_ETOOBIG);
            }
        }
    }
}

static void test_quadratic_bases_are_capped(void **state)
{
    (void)state;
    static uint8_t in[P2P__BASE_QUADRATIC_MAX + 1];
    static uint8_t back[P2P__BASE_QUADRATIC_MAX + 256];
    static char text[4096];
    memset(in, 0xff, sizeof(in));
    for (const char *base = "kKzZ"; *base; base++) {
        int64_t n = p2p__base_encode(*base, in, P2P__BASE_QUADRATIC_MAX, text, sizeof(text));
        assert_true(n > P2P__BASE_QUADRATIC_MAX);
        assert_int_equal(p2p__base_decode(*base, text, (size_t)n, back, sizeof(back)),
                         P2P__BASE_QUADRATIC_MAX);
        assert_memory_equal(back, in, P2P__BASE_QUADRATIC_MAX);
        assert_int_equal(p2p__base_encode(*base, in, sizeof(in), text, sizeof(text)), P2P_ETOOBIG);
        /* The largest digit in every place that may be read, and one place more. */
        memset(text, *base == 'K' ? 'Z' : *base == 'Z' ? 'Z' : 'z', sizeof(text));
        assert_true(p2p__base_decode(*base, text, 1585, back, sizeof(back)) >=
                    P2P__BASE_QUADRATIC_MAX);
        assert_int_equal(p2p__base_decode(*base, text, 1586, back, sizeof(back)), P2P_ETOOBIG);
    }
    /* Those that work by bits have no cap but the caller's memory. */
    static uint8_t large[3000];
    assert_int_equal(p2p__base_encode('u', large, sizeof(large), text, sizeof(text)), 4000);
    assert_int_equal(p2p__base_encode('u', large, SIZE_MAX, text, sizeof(text)), P2P_ETOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_vectors),
        cmocka_unit_test(test_letter_case_vectors),
        cmocka_unit_test(test_rfc4648_vectors),
        cmocka_unit_test(test_malformed_text_is_refused),
        cmocka_unit_test(test_P18_base58_with_foreign_letters),
        cmocka_unit_test(test_identity_base),
        cmocka_unit_test(test_exact_capacity_round_trips),
        cmocka_unit_test(test_quadratic_bases_are_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
