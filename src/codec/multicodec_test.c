#include "tests/test.h"

#include <string.h>

#include "codec/multicodec.h"

static const struct multicodec all[] = {
#define X(identifier, name, tag, code) {name, tag, code},
#include "codec/multicodec.def"
#undef X
};

#define COUNT (sizeof(all) / sizeof(all[0]))

static void test_sorted_and_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        if (i > 0)
            assert_true(all[i - 1].code < all[i].code);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(all[i].name, all[j].name);
    }
}

static void test_each_entry_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        const struct multicodec *found = p2p__multicodec_by_code(all[i].code);
        assert_non_null(found);
        assert_string_equal(found->name, all[i].name);
        assert_ptr_equal(p2p__multicodec_by_name(all[i].name, strlen(all[i].name)), found);
    }
}

static void test_what_is_absent(void **state)
{
    (void)state;
    assert_null(p2p__multicodec_by_code(0x05));
    assert_null(p2p__multicodec_by_code(UINT64_MAX));
    assert_null(p2p__multicodec_by_code(UINT64_C(0x100000000) + 0x12));
    assert_null(p2p__multicodec_by_name("", 0));
    assert_null(p2p__multicodec_by_name("sha2", 4));
    assert_null(p2p__multicodec_by_name("sha2-2567", 9));
    assert_null(p2p__multicodec_by_name("raw\0x", 5));
}

static void test_known_codes(void **state)
{
    (void)state;
    assert_int_equal(P2P__CODEC_LIBP2P_KEY, 0x72);
    assert_int_equal(P2P__CODEC_LIBP2P_PEER_RECORD, 0x0301);
    assert_int_equal(P2P__CODEC_LIBP2P_RELAY_RSVP, 0x0302);
    assert_int_equal(P2P__CODEC_DAG_PB, 0x70);
    assert_string_equal(p2p__multicodec_by_name("p2p", 3)->tag, "multiaddr");
    assert_int_equal(p2p__multicodec_by_name("p2p", 3)->code, 421);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorted_and_unique),
        cmocka_unit_test(test_each_entry_is_found),
        cmocka_unit_test(test_what_is_absent),
        cmocka_unit_test(test_known_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
