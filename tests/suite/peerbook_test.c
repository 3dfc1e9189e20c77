/* What a host knows of peers besides their addresses, in both worlds: what they said of themselves,
 * their records and keys, and the application's notes. */
#include "tests/test.h"

#include <p2p/identify.h>
#include <p2p/peerstore.h>

#include "codec/peer_record.h"
#include "host/host.h"
#include "host/peer_value.h"
#include "tests/store_folder.h"

/* Gone whole, after its goodbye. */
static bool is_apart(void *user)
{
    return list_empty(&((p2p_host *)user)->conns);
}

static bool has_said(void *user)
{
    p2p_conn *conn = p2p_host_conn_at(user, 0);
    return conn && p2p_identify_peer(user, p2p_conn_peer(conn));
}

/* b is known to a, and no longer connected. */
static void meet(struct world *world, p2p_host *a, p2p_host *b)
{
    char addr[P2P_MULTIADDR_TEXT_MAX];
    assert_int_equal(connect_to(world, a, world_addr(b, addr, sizeof addr)), 0);
    assert_true(world_until(world, has_said, a, 5000));
    assert_true(world_until(world, has_said, b, 5000));
    p2p_conn_close(p2p_host_conn_at(a, 0));
    assert_true(world_until(world, is_apart, a, 5000));
    assert_true(world_until(world, is_apart, b, 5000));
}

static void check_known(const p2p_host *host, const p2p_peer_id *id)
{
    struct p2p__peer_record record;
    size_t len;
    const p2p_identity *identity = p2p_identify_peer(host, id);
    assert_non_null(identity);
    assert_non_null(strstr(identity->agent, "libp2p-c/"));
    assert_true(p2p_identity_supports(identity, "/ipfs/ping/1.0.0"));
    assert_int_equal(identity->signed_record, 1);
    assert_true(identity->addr_count > 0);
    assert_int_equal(p2p__peer_record_open(identity->record, identity->record_len, &record), 0);
    assert_true(p2p_peer_id_equal(&record.peer, id));
    assert_int_equal(record.seq, identity->record_seq);
    assert_non_null(p2p_host_peer_key(host, id, &len));
    assert_true(len > 0);
}

/* ---- who was met is known, and can be dialed by its id ---- */

static void knows_who_left(enum world_kind kind)
{
    struct world world;
    char peer[P2P_PEER_ID_TEXT_MAX];
    world_init(&world, kind, 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    meet(&world, a, b);
    check_known(a, p2p_host_peer(b));
    check_known(b, p2p_host_peer(a));
    assert_true(p2p_peer_id_format(p2p_host_peer(a), peer, sizeof(peer)) > 0);
    assert_int_equal(connect_to(&world, b, peer), 0);
    world_fini(&world);
}

/* Who names an address wants that one. */
static void test_a_named_address_is_not_another(void **state)
{
    (void)state;
    struct world world;
    char peer[P2P_PEER_ID_TEXT_MAX], elsewhere[P2P_PEER_ID_TEXT_MAX + 40];
    world_init(&world, WORLD_SIM, 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    meet(&world, a, b);
    assert_true(p2p_peer_id_format(p2p_host_peer(b), peer, sizeof(peer)) > 0);
    snprintf(elsewhere, sizeof elsewhere, "/ip4/127.0.0.1/tcp/1/p2p/%s", peer);
    assert_int_equal(connect_to(&world, a, elsewhere), P2P_ECONN);
    assert_int_equal(connect_to(&world, a, peer), 0);
    world_fini(&world);
}

static void test_knows_who_left_uv(void **state)
{
    (void)state;
    knows_who_left(WORLD_UV);
}

static void test_knows_who_left_sim(void **state)
{
    (void)state;
    knows_who_left(WORLD_SIM);
}

static void test_all_of_it_survives_a_restart(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct world world;
    size_t len;
    const char *const options[] = {option, NULL};
    world_init(&world, WORLD_SIM, 1, false);
    p2p_host *b = world_host(&world, NULL), *a = world_host(&world, options);
    meet(&world, a, b);
    assert_int_equal(p2p_host_note(a, p2p_host_peer(b), "seen", "\0one", 4), 0);
    assert_int_equal(p2p_host_note(a, p2p_host_peer(b), "empty", "", 0), 0);
    close_host(&world, 1);

    p2p_host *c = world_host(&world, options);
    check_known(c, p2p_host_peer(b));
    assert_memory_equal(p2p_host_noted(c, p2p_host_peer(b), "seen", &len), "\0one", 4);
    assert_int_equal(len, 4);
    assert_non_null(p2p_host_noted(c, p2p_host_peer(b), "empty", &len));
    assert_int_equal(len, 0);
    assert_int_equal(p2p_host_forget(c, p2p_host_peer(b)), 0);
    close_host(&world, 2);

    p2p_host *d = world_host(&world, options);
    p2p_peer_id id;
    assert_null(p2p_identify_peer(d, p2p_host_peer(b)));
    assert_null(p2p_host_noted(d, p2p_host_peer(b), "seen", &len));
    assert_int_equal(p2p_host_known_peer(d, 0, &id), P2P_ENOENT);
    assert_int_equal(p2p_host_forget(d, p2p_host_peer(b)), P2P_ENOENT);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

static int fail_commit(struct store *store, const struct store_batch *batch)
{
    (void)batch;
    snprintf(store->why, sizeof(store->why), "no");
    return P2P_EWRITE;
}

/* Who was forgotten while the store could not write does not come back. */
static void test_a_failed_deletion_is_repeated(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct world world;
    const char *const options[] = {option, NULL};
    p2p_peer_id found;
    size_t len;
    world_init(&world, WORLD_SIM, 1, true);
    p2p_host *b = world_host(&world, NULL), *a = world_host(&world, options);
    const p2p_peer_id *id = p2p_host_peer(b);
    assert_int_equal(p2p_host_note(a, id, "x", "x", 1), 0);
    world_run(&world, REMEMBER_SAVE_MS * 2);
    const struct store_ops *ops = a->remember.store->ops;
    struct store_ops failing = *ops;
    failing.commit = fail_commit;
    a->remember.store->ops = &failing;
    assert_int_equal(p2p_host_forget(a, id), 0);
    world_run(&world, REMEMBER_SAVE_MS * 2);
    assert_true(a->remember.failing);
    a->remember.store->ops = ops;
    world_run(&world, REMEMBER_RETRY_MS + 1000);
    assert_false(a->remember.failing);
    close_host(&world, 1);
    p2p_host *c = world_host(&world, options);
    assert_null(p2p_host_noted(c, id, "x", &len));
    assert_int_equal(p2p_host_known_peer(c, 0, &found), P2P_ENOENT);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

static void write_value(const p2p_peer_id *id, const struct peer_value *value)
{
    static uint8_t bytes[STORE_VALUE_MAX];
    uint8_t key[5 + sizeof(id->bytes)] = "peer/";
    char why[STORE_WHY_MAX];
    struct store *out;
    struct store_batch batch;
    memcpy(key + 5, id->bytes, id->len);
    size_t len = p2p__peer_value_encode(value, bytes, sizeof(bytes));
    assert_int_equal(p2p__store_file(file, 1 << 20, &out, why, sizeof(why)), 0);
    p2p__store_batch_init(&batch);
    assert_int_equal(p2p__store_batch_put(&batch, key, 5 + id->len, bytes, len), 0);
    assert_int_equal(out->ops->commit(out, &batch), 0);
    p2p__store_batch_fini(&batch);
    out->ops->close(out);
}

static size_t seal(const p2p_key *key, uint64_t seq, const char *text, uint8_t *out, size_t cap);

/* A file is believed no more than a peer: another's key, another's record. */
static void test_what_is_forged_in_a_file_never_enters(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct world world;
    uint8_t record[1024];
    size_t key_len;
    const char *const options[] = {option, NULL};
    p2p_key *own = NULL, *other = NULL;
    assert_int_equal(p2p_key_generate(P2P_KEY_ECDSA, &own), 0);
    assert_int_equal(p2p_key_generate(P2P_KEY_ECDSA, &other), 0);
    const p2p_peer_id *id = p2p_key_peer_id(own);
    for (int forged = 0; forged < 2; forged++) {
        const p2p_key *key = forged ? other : own;
        const uint8_t *pub = p2p_key_public(key, &key_len);
        size_t record_len = seal(key, 7, "/ip4/192.0.2.7/tcp/1", record, sizeof(record));
        struct peer_value value = {.note_count = 1};
        value.notes[0].name = (struct p2p__const_iov){(const uint8_t *)"n", 1};
        value.said.agent = (struct p2p__const_iov){(const uint8_t *)"agent", 5};
        value.said.public_key = (struct p2p__const_iov){pub, key_len};
        value.said.record = (struct p2p__const_iov){record, record_len};
        write_value(id, &value);
        world_init(&world, WORLD_SIM, 1, false);
        p2p_host *a = world_host(&world, options);
        const p2p_identity *identity = p2p_identify_peer(a, id);
        assert_non_null(identity);
        assert_string_equal(identity->agent, "agent");
        assert_int_equal(identity->signed_record, !forged);
        assert_int_equal(identity->record != NULL, !forged);
        assert_int_equal(p2p_host_peer_key(a, id, &key_len) != NULL, !forged);
        world_fini(&world);
        assert_int_equal(unlink(file), 0);
    }
    p2p_key_free(own);
    p2p_key_free(other);
}

/* ---- what is too much ---- */

/* The longest that is remembered, and one byte more. */
static bool remembers_of_size(size_t wanted)
{
    static uint8_t long_key[REMEMBER_IDENTITY_MAX + 1];
    struct world world;
    char addr[P2P_MULTIADDR_TEXT_MAX];
    world_init(&world, WORLD_SIM, 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(connect_to(&world, a, world_addr(b, addr, sizeof addr)), 0);
    assert_true(world_until(&world, has_said, a, 5000));
    world_run(&world, 1000);
    const p2p_identity *said = p2p_identify_peer(a, p2p_host_peer(b));
    struct identity_parts more = {.observed = {long_key, 0}};
    size_t without = p2p__identity_size(said) - said->observed_addr.len;
    more.observed.len = wanted - without;
    p2p_identity *bigger = p2p__identity_merge(said, &more, p2p_host_peer(b));
    assert_int_equal(p2p__identity_size(bigger), wanted);
    assert_non_null(p2p__peer_said(a, bigger));
    p2p_conn_close(p2p_host_conn_at(a, 0));
    assert_true(world_until(&world, is_apart, a, 5000));
    p2p_multiaddr known;
    assert_int_equal(p2p_host_known_addr(a, p2p_host_peer(b), 0, &known), 0);
    bool remembered = p2p_identify_peer(a, p2p_host_peer(b)) != NULL;
    world_fini(&world);
    return remembered;
}

static void test_long_speeches_are_not_remembered(void **state)
{
    (void)state;
    assert_true(remembers_of_size(REMEMBER_IDENTITY_MAX));
    assert_false(remembers_of_size(REMEMBER_IDENTITY_MAX + 1));
}

/* ---- notes ---- */

static void test_notes_have_limits(void **state)
{
    (void)state;
    static char bytes[P2P_NOTE_MAX + 1];
    struct world world;
    size_t len;
    char name[P2P_NOTE_NAME_MAX + 2];
    world_init(&world, WORLD_SIM, 1, true);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    const p2p_peer_id *id = p2p_host_peer(b);
    memset(name, 'n', sizeof(name));
    name[P2P_NOTE_NAME_MAX + 1] = '\0';
    assert_int_equal(p2p_host_note(a, id, name, "x", 1), P2P_EINVAL);
    assert_int_equal(p2p_host_note(a, id, "", "x", 1), P2P_EINVAL);
    assert_int_equal(p2p_host_note(a, id, name + 1, "x", 1), 0);
    assert_int_equal(p2p_host_note(a, id, name + 1, NULL, 0), 0);
    assert_int_equal(p2p_host_note(a, id, name + 1, NULL, 0), P2P_ENOENT);
    assert_int_equal(p2p_host_note(a, id, "big", bytes, sizeof(bytes)), P2P_ETOOBIG);
    /* In all: with their names of one byte. */
    for (int i = 0; i < P2P_NOTES_LEN_MAX / P2P_NOTE_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(p2p_host_note(a, id, name, bytes, P2P_NOTE_MAX - 1), 0);
    }
    assert_int_equal(p2p_host_note(a, id, "x", "", 0), P2P_ELIMIT);
    assert_int_equal(p2p_host_note(a, id, "0", "new", 3), 0);
    assert_memory_equal(p2p_host_noted(a, id, "0", &len), "new", 3);
    for (int i = P2P_NOTES_LEN_MAX / P2P_NOTE_MAX; i < P2P_NOTES_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(p2p_host_note(a, id, name, "x", 1), 0);
    }
    assert_int_equal(p2p_host_note(a, id, "x", "x", 1), P2P_ELIMIT);
    size_t count = 0;
    while (p2p_host_note_name(a, id, count))
        count++;
    assert_int_equal(count, P2P_NOTES_MAX);
    assert_int_equal(p2p_host_forget(a, id), 0);
    assert_null(p2p_host_note_name(a, id, 0));
    world_fini(&world);
}

/* ---- records by other ways ---- */

static size_t seal(const p2p_key *key, uint64_t seq, const char *text, uint8_t *out, size_t cap)
{
    p2p_multiaddr addr;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    struct p2p__const_iov iov = {addr.bytes, addr.len};
    int64_t len = p2p__peer_record_seal(key, seq, &iov, 1, out, cap);
    assert_true(len > 0);
    return (size_t)len;
}

static void assert_first_addr(const p2p_host *host, const p2p_peer_id *id, const char *expected)
{
    char text[P2P_MULTIADDR_TEXT_MAX];
    p2p_multiaddr addr;
    assert_int_equal(p2p_host_known_addr(host, id, 0, &addr), 0);
    assert_true(p2p_multiaddr_format(&addr, text, sizeof(text)) > 0);
    assert_string_equal(text, expected);
}

static void test_newer_records_win_and_forged_ones_never_enter(void **state)
{
    (void)state;
    struct world world;
    uint8_t record[512];
    p2p_peer_id id, found;
    world_init(&world, WORLD_SIM, 1, false);
    p2p_host *a = world_host(&world, NULL);
    p2p_key *key = world_key(99, 1);
    size_t len = seal(key, 7, "/ip4/192.0.2.7/tcp/1", record, sizeof(record));
    for (size_t i = 0; i < len; i++) {
        record[i] ^= 1;
        int rc = p2p_host_learn_record(a, record, len, NULL, &id);
        assert_true(rc < 0);
        record[i] ^= 1;
    }
    assert_true(p2p_host_learn_record(a, record, len - 1, NULL, NULL) < 0);
    assert_true(p2p_host_learn_record(a, record, 0, NULL, NULL) < 0);
    assert_int_equal(p2p_host_known_peer(a, 0, &found), P2P_ENOENT);
    assert_int_equal(p2p_host_learn_record(a, record, len, NULL, &id), 1);
    assert_true(p2p_peer_id_equal(&id, p2p_key_peer_id(key)));
    assert_first_addr(a, &id, "/ip4/192.0.2.7/tcp/1");
    assert_memory_equal(p2p_identify_peer(a, &id)->record, record, len);
    len = seal(key, 6, "/ip4/192.0.2.6/tcp/1", record, sizeof(record));
    assert_int_equal(p2p_host_learn_record(a, record, len, NULL, NULL), 0);
    assert_first_addr(a, &id, "/ip4/192.0.2.7/tcp/1");
    len = seal(key, 8, "/ip4/192.0.2.8/tcp/1", record, sizeof(record));
    assert_int_equal(p2p_host_learn_record(a, record, len, NULL, NULL), 1);
    assert_first_addr(a, &id, "/ip4/192.0.2.8/tcp/1");
    p2p_key_free(key);
    world_fini(&world);
}

/* One of which nothing can be used leaves nothing behind; who brought it counts. */
static void test_a_record_over_a_connection(void **state)
{
    (void)state;
    struct world world;
    uint8_t record[512];
    char addr[P2P_MULTIADDR_TEXT_MAX];
    p2p_peer_id found;
    world_init(&world, WORLD_SIM, 1, false);
    world.ip = "10.0.0.1";
    p2p_host *a = world_host(&world, NULL);
    world.ip = "198.51.100.2";
    p2p_host *b = world_host(&world, NULL);
    assert_int_equal(connect_to(&world, a, world_addr(b, addr, sizeof addr)), 0);
    p2p_conn *from = p2p_host_conn_at(a, 0);
    p2p_key *key = world_key(99, 1);
    size_t len = seal(key, 7, "/ip4/10.0.0.9/tcp/1", record, sizeof(record));
    assert_int_equal(p2p_host_learn_record(a, record, len, from, NULL), 1);
    assert_int_equal(p2p_host_known_peer(a, 0, &found), P2P_ENOENT);
    assert_null(p2p_identify_peer(a, p2p_key_peer_id(key)));
    len = seal(key, 8, "/ip4/198.51.100.9/tcp/1", record, sizeof(record));
    assert_int_equal(p2p_host_learn_record(a, record, len, from, NULL), 1);
    assert_int_equal(p2p_host_known_peer(a, 0, &found), 0);
    p2p_key_free(key);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_knows_who_left_uv),
        cmocka_unit_test(test_knows_who_left_sim),
        cmocka_unit_test(test_a_named_address_is_not_another),
        cmocka_unit_test(test_all_of_it_survives_a_restart),
        cmocka_unit_test(test_what_is_forged_in_a_file_never_enters),
        cmocka_unit_test(test_a_failed_deletion_is_repeated),
        cmocka_unit_test(test_long_speeches_are_not_remembered),
        cmocka_unit_test(test_notes_have_limits),
        cmocka_unit_test(test_newer_records_win_and_forged_ones_never_enter),
        cmocka_unit_test(test_a_record_over_a_connection),
    };
    return cmocka_run_group_tests(tests, store_folder_setup, store_folder_teardown);
}
