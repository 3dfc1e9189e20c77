/* Targets with names, through whole hosts: what is dialed, and what is said when nothing can be. */
#include "tests/test.h"

#include <strings.h>

#include "tests/world.h"

#include "tests/echo.h"
#include "tests/names.h"

#define OTHER_PEER "/p2p/12D3KooWEDMw7oRqQkdCJbyeqS5mUmWGwTp8JJ2tjCzTkHboF6wK"

struct outcome {
    int calls, code, attempts;
    char message[600], addr[300];
};

static void on_done(void *user, const p2p_error *why)
{
    struct outcome *self = user;
    self->calls++;
    self->code = why ? why->code : 0;
    self->attempts = why ? (int)why->attempt_count : 0;
    snprintf(self->message, sizeof(self->message), "%s", why ? why->message : "");
    if (why && why->attempt_count)
        snprintf(self->addr, sizeof(self->addr), "%s", why->attempts[0].addr);
}

static bool called(void *user)
{
    return ((struct outcome *)user)->calls > 0;
}

/* Two hosts, names, and what b's address is made of. */
struct setting {
    struct world world;
    struct names names;
    p2p_host *a, *b;
    char ip[64], tcp[32], peer[100]; /* "/tcp/4001", "/p2p/12D3..." */
    char target[600];
    struct outcome out;
};

static void setup(struct setting *self, void **state)
{
    char addr[256];
    world_init(&self->world, kind_of(state), 1, false);
    names_init(&self->names, &self->world);
    self->a = world_host(&self->world, self->names.options);
    self->b = world_host(&self->world, NULL);
    world_addr(self->b, addr, sizeof(addr));
    char *tcp = strstr(addr, "/tcp/"), *peer = strstr(addr, "/p2p/");
    snprintf(self->ip, sizeof(self->ip), "%.*s", (int)(tcp - addr - 5), addr + 5);
    snprintf(self->tcp, sizeof(self->tcp), "%.*s", (int)(peer - tcp), tcp);
    snprintf(self->peer, sizeof(self->peer), "%s", peer);
    self->out = (struct outcome){0};
}

static void teardown(struct setting *self)
{
    names_fini(&self->names);
    world_fini(&self->world);
}

static int dial_within(struct setting *self, const char *target, int timeout_ms)
{
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.timeout_ms = timeout_ms;
    self->out = (struct outcome){0};
    assert_non_null(p2p_host_connect(self->a, target, &opts, on_done, &self->out));
    assert_true(world_until(&self->world, called, &self->out, 20000));
    return self->out.code;
}

/* "/dns4/NAME", with b's port and peer id. */
static int dial_name(struct setting *self, const char *name)
{
    snprintf(self->target, sizeof(self->target), "%s%s%s", name, self->tcp, self->peer);
    return dial_within(self, self->target, 0);
}

static int dial_dnsaddr(struct setting *self, const char *name)
{
    snprintf(self->target, sizeof(self->target), "/dnsaddr/%s%s", name, self->peer);
    return dial_within(self, self->target, 0);
}

/* A record of that name that leads to `to`, or straight to b. */
static void lead(struct setting *self, const char *name, const char *to)
{
    char label[300], text[600];
    snprintf(label, sizeof(label), "_dnsaddr.%s", name);
    if (to)
        snprintf(text, sizeof(text), "dnsaddr=/dnsaddr/%s%s", to, self->peer);
    else
        snprintf(text, sizeof(text), "dnsaddr=/ip4/%s%s%s", self->ip, self->tcp, self->peer);
    names_txt(&self->names, label, text);
}

static bool connected(const struct setting *self)
{
    return p2p_host_conn(self->a, p2p_host_peer(self->b)) != NULL;
}

static void test_names_of_every_kind_are_dialed(void **state)
{
    static const char *const kinds[] = {"/dns4/node.test", "/dns/node.test", "/dns/NODE.Test"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct setting s;
        setup(&s, state);
        names_add(&s.names, "node.test", s.ip);
        assert_int_equal(dial_name(&s, kinds[i]), 0);
        assert_true(connected(&s));
        teardown(&s);
    }
}

static void test_a_stream_opens_through_a_name(void **state)
{
    struct setting s;
    struct side side = {.to_send = 1000};
    setup(&s, state);
    assert_int_equal(p2p_host_handle(s.b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    lead(&s, "node.test", NULL);
    snprintf(s.target, sizeof(s.target), "/dnsaddr/node.test%s", s.peer);
    open_echo(s.a, s.target, &side);
    assert_true(world_until(&s.world, closed, &side, 5000));
    assert_int_equal(side.close_code, 0);
    assert_int_equal(side.got, 1000);
    teardown(&s);
}

static void test_a_name_without_such_a_record(void **state)
{
    struct setting s;
    setup(&s, state);
    names_add(&s.names, "node.test", s.ip);
    assert_int_equal(dial_name(&s, "/dns6/node.test"), P2P_ERESOLVE);
    assert_non_null(strstr(s.out.message, "node.test does not resolve"));
    assert_non_null(strstr(s.out.message, "no such record"));
    assert_int_equal(dial_dnsaddr(&s, "node.test"), P2P_ERESOLVE);
    teardown(&s);
}

static void test_a_name_that_does_not_exist_is_named(void **state)
{
    struct setting s;
    setup(&s, state);
    assert_int_equal(dial_name(&s, "/dns/nowhere.test"), P2P_ERESOLVE);
    assert_non_null(strstr(s.out.message, "nowhere.test does not resolve: there is no such name"));
    assert_int_equal(s.out.attempts, 1);
    assert_string_equal(s.out.addr, s.target);
    names_fault(&s.names, "broken.test", P2P_SIM_NAME_FAILS);
    assert_int_equal(dial_name(&s, "/dns4/broken.test"), P2P_ERESOLVE);
    assert_non_null(strstr(s.out.message, "broken.test"));
    assert_non_null(strstr(s.out.message, "failed"));
    teardown(&s);
}

static void test_a_silent_name_server_ends_at_the_deadline(void **state)
{
    struct setting s;
    setup(&s, state);
    names_fault(&s.names, "silent.test", P2P_SIM_NAME_SILENT);
    snprintf(s.target, sizeof(s.target), "/dns/silent.test%s%s", s.tcp, s.peer);
    uint64_t start = p2p_host_now_us(s.a);
    assert_int_equal(dial_within(&s, s.target, 300), P2P_ETIMEDOUT);
    assert_in_range(p2p_host_now_us(s.a) - start, 299000, 1500000);
    assert_non_null(strstr(s.out.message, "silent.test"));
    assert_int_equal(s.out.attempts, 1);
    teardown(&s);
}

static void test_a_dial_is_cancelled_while_the_name_is_asked_for(void **state)
{
    struct setting s;
    struct outcome other = {0};
    setup(&s, state);
    names_fault(&s.names, "silent.test", P2P_SIM_NAME_SILENT);
    snprintf(s.target, sizeof(s.target), "/dns/silent.test%s%s", s.tcp, s.peer);
    p2p_op *op = p2p_host_connect(s.a, s.target, NULL, on_done, &s.out);
    world_run(&s.world, 20);
    p2p_op_cancel(op);
    assert_true(world_until(&s.world, called, &s.out, 1000));
    assert_int_equal(s.out.code, P2P_ECANCELED);
    assert_non_null(p2p_host_connect(s.a, s.target, NULL, on_done, &other));
    world_run(&s.world, 20);
    teardown(&s); /* closes a */
    assert_int_equal(other.calls, 1);
    assert_int_equal(other.code, P2P_ECANCELED);
}

static void test_a_known_address_serves_where_the_name_does_not(void **state)
{
    struct setting s;
    p2p_multiaddr addr;
    setup(&s, state);
    snprintf(s.target, sizeof(s.target), "/ip4/%s%s", s.ip, s.tcp);
    assert_int_equal(p2p_multiaddr_parse(s.target, &addr), 0);
    assert_int_equal(p2p_host_add_addr(s.a, p2p_host_peer(s.b), &addr, -1), 0);
    assert_int_equal(dial_name(&s, "/dns4/nowhere.test"), 0);
    teardown(&s);
}

static void test_a_known_address_may_have_a_name(void **state)
{
    struct setting s;
    p2p_multiaddr addr;
    setup(&s, state);
    names_add(&s.names, "node.test", s.ip);
    snprintf(s.target, sizeof(s.target), "/dns4/node.test%s" OTHER_PEER, s.tcp);
    assert_int_equal(p2p_multiaddr_parse(s.target, &addr), 0);
    assert_int_equal(p2p_host_add_addr(s.a, p2p_host_peer(s.b), &addr, -1), P2P_EADDR);
    snprintf(s.target, sizeof(s.target), "/dns4/node.test%s%s", s.tcp, s.peer);
    assert_int_equal(p2p_multiaddr_parse(s.target, &addr), 0);
    assert_int_equal(p2p_host_add_addr(s.a, p2p_host_peer(s.b), &addr, -1), 0);
    assert_int_equal(dial_within(&s, s.peer + strlen("/p2p/"), 0), 0);
    teardown(&s);
}

static void test_F04_entries_of_other_peers_are_left_out(void **state)
{
    struct setting s;
    char text[300];
    setup(&s, state);
    names_txt(&s.names, "_dnsaddr.node.test", "v=spf1 -all");
    snprintf(text, sizeof(text), "dnsaddr=/ip4/%s%s" OTHER_PEER, s.ip, s.tcp);
    names_txt(&s.names, "_dnsaddr.node.test", text);
    snprintf(text, sizeof(text), "dnsaddr=/ip4/%s%s", s.ip, s.tcp);
    names_txt(&s.names, "_dnsaddr.node.test", text); /* of nobody */
    assert_int_equal(dial_dnsaddr(&s, "node.test"), P2P_ERESOLVE);
    assert_non_null(strstr(s.out.message, "for that peer"));
    lead(&s, "node.test", NULL);
    assert_int_equal(dial_dnsaddr(&s, "node.test"), 0);
    teardown(&s);
}

static void test_F01_chains_of_dnsaddr(void **state)
{
    struct setting s;
    char name[32], next[32];
    setup(&s, state);
    for (int i = 1; i < 10; i++) {
        snprintf(name, sizeof(name), "n%d.test", i);
        snprintf(next, sizeof(next), "n%d.test", i + 1);
        lead(&s, name, next);
    }
    lead(&s, "n10.test", NULL);
    assert_int_equal(dial_dnsaddr(&s, "n1.test"), P2P_ERESOLVE);
    assert_non_null(strstr(s.out.message, "more than 4 steps"));
    assert_int_equal(dial_dnsaddr(&s, "n6.test"), P2P_ERESOLVE);
    assert_int_equal(dial_dnsaddr(&s, "n7.test"), 0); /* 7, 8, 9, 10 */
    teardown(&s);
}

static void test_F01_a_loop_ends(void **state)
{
    struct setting s;
    setup(&s, state);
    lead(&s, "a.test", "b.test");
    lead(&s, "b.test", "a.test");
    lead(&s, "self.test", "self.test");
    assert_int_equal(dial_dnsaddr(&s, "a.test"), P2P_ERESOLVE);
    assert_int_equal(dial_dnsaddr(&s, "self.test"), P2P_ERESOLVE);
    assert_non_null(strstr(s.out.message, "self.test"));
    if (s.world.kind == WORLD_UV)
        assert_in_range(s.names.asked, 2, 8);
    teardown(&s);
}

/* Sixteen of a thousand records are looked at, whose names take the fifteen questions left. */
static void test_F01_a_thousand_records(void **state)
{
    struct setting s;
    char text[64];
    setup(&s, state);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "dnsaddr=/dnsaddr/x%d.test", i);
        names_txt(&s.names, "_dnsaddr.many.test", text);
    }
    assert_int_equal(dial_within(&s, "/dnsaddr/many.test", 0), P2P_ERESOLVE);
    if (s.world.kind == WORLD_UV)
        assert_int_equal(s.names.asked - s.names.asked_by_tcp, 16);
    lead(&s, "x15.test", NULL);
    assert_int_equal(dial_within(&s, "/dnsaddr/many.test", 0), P2P_ERESOLVE);
    lead(&s, "x14.test", NULL);
    assert_int_equal(dial_within(&s, "/dnsaddr/many.test", 0), 0); /* the fifteenth */
    teardown(&s);
}

static void test_a_dnsaddr_without_a_peer_id(void **state)
{
    struct setting s;
    setup(&s, state);
    lead(&s, "node.test", NULL);
    assert_int_equal(dial_within(&s, "/dnsaddr/node.test", 0), 0);
    assert_true(connected(&s));
    assert_int_equal(dial_within(&s, "/dnsaddr/node.test", 0), 0); /* over the same connection */
    assert_null(p2p_host_conn_at(s.a, 1));
    assert_int_equal(dial_within(&s, "/dnsaddr/nowhere.test", 0), P2P_ERESOLVE);
    teardown(&s);
}

static void test_dials_by_name_and_by_address_are_joined(void **state)
{
    struct setting s;
    struct outcome out[4] = {0};
    char target[4][600];
    setup(&s, state);
    names_add(&s.names, "node.test", s.ip);
    lead(&s, "node.test", NULL);
    snprintf(target[0], sizeof(target[0]), "/dnsaddr/node.test");
    snprintf(target[1], sizeof(target[1]), "/dns4/node.test%s%s", s.tcp, s.peer);
    snprintf(target[2], sizeof(target[2]), "/dns4/nowhere.test%s%s", s.tcp, s.peer);
    snprintf(target[3], sizeof(target[3]), "/dnsaddr/node.test%s", s.peer);
    for (int i = 0; i < 4; i++)
        assert_non_null(p2p_host_connect(s.a, target[i], NULL, on_done, &out[i]));
    for (int i = 0; i < 4; i++) {
        assert_true(world_until(&s.world, called, &out[i], 5000));
        assert_int_equal(out[i].code, 0);
    }
    world_run(&s.world, 100);
    assert_null(p2p_host_conn_at(s.a, 1));
    teardown(&s);
}

static void test_a_dnsaddr_of_several_peers_means_the_first(void **state)
{
    struct setting s;
    char text[300];
    setup(&s, state);
    snprintf(text, sizeof(text), "dnsaddr=/ip4/%s/tcp/1" OTHER_PEER, s.ip);
    names_txt(&s.names, "_dnsaddr.node.test", text);
    lead(&s, "node.test", NULL);
    assert_int_equal(dial_within(&s, "/dnsaddr/node.test", 0), P2P_ECONN);
    assert_int_equal(s.out.attempts, 1);
    teardown(&s);
}

/* The same target is asked for once, and of others so many at a time. */
static void test_at_most_4_names_in_a_dial(void **state)
{
    struct setting s;
    struct outcome out[6] = {0};
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.timeout_ms = 200;
    for (int names = 1; names <= 5; names += 4) {
        setup(&s, state);
        memset(out, 0, sizeof(out));
        for (int i = 0; i < 6; i++) {
            char name[32];
            snprintf(name, sizeof(name), "n%d.test", i % names);
            names_fault(&s.names, name, P2P_SIM_NAME_SILENT);
            snprintf(s.target, sizeof(s.target), "/dns4/%s%s%s", name, s.tcp, s.peer);
            assert_non_null(p2p_host_connect(s.a, s.target, &opts, on_done, &out[i]));
        }
        for (int i = 0; i < 6; i++)
            assert_true(world_until(&s.world, called, &out[i], 5000));
        assert_int_equal(out[5].attempts, names == 1 ? 1 : 4);
        teardown(&s);
    }
}

static void test_targets_with_names_that_are_malformed(void **state)
{
    struct setting s;
    setup(&s, state);
    assert_int_equal(dial_within(&s, "/dns4/node.test/tcp/1", 0), P2P_EADDR);
    assert_non_null(strstr(s.out.message, "/p2p/PEERID"));
    snprintf(s.target, sizeof(s.target), "/dns4/node.test/udp/1/utp%s", s.peer);
    names_add(&s.names, "node.test", s.ip);
    assert_int_equal(dial_within(&s, s.target, 0), P2P_ENOTSUP);
    teardown(&s);
}

/* ---- only on real sockets ---- */

static void test_the_hosts_file_counts(void **state)
{
    struct setting s;
    setup(&s, state);
    names_fault(&s.names, "localhost", P2P_SIM_NAME_SILENT);
    assert_int_equal(dial_name(&s, "/dns4/localhost"), 0);
    assert_int_equal(s.names.asked, 0);
    teardown(&s);
}

/* A reply that a datagram does not hold is fetched by TCP. */
static void test_a_long_reply(void **state)
{
    struct setting s;
    char text[700];
    setup(&s, state);
    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof(text), "%d%0600d", i, 0);
        names_txt(&s.names, "_dnsaddr.node.test", text);
    }
    lead(&s, "node.test", NULL);
    assert_int_equal(dial_dnsaddr(&s, "node.test"), 0);
    assert_int_equal(s.names.asked_by_tcp, 1);
    teardown(&s);
}

/* A record of n bytes, in strings of 200. */
static void test_the_longest_record(void **state)
{
    struct setting s;
    char text[1400];
    setup(&s, state);
    for (size_t n = 1024; n <= 1025; n++) {
        char name[40];
        snprintf(name, sizeof(name), "_dnsaddr.n%zu.test", n);
        memset(text, 'a', sizeof(text));
        memcpy(text, "dnsaddr=/ip4/1.2.3.4/tcp/1/http-path/", 37);
        snprintf(text + n - strlen(s.peer), sizeof(text) - n + strlen(s.peer), "%s", s.peer);
        assert_int_equal(strlen(text), n);
        names_txt(&s.names, name, text);
    }
    assert_int_equal(dial_dnsaddr(&s, "n1025.test"), P2P_ERESOLVE);
    assert_non_null(strstr(s.out.message, "no such record"));
    assert_int_equal(dial_dnsaddr(&s, "n1024.test"), P2P_ENOTSUP);
    teardown(&s);
}

enum {
    HOSTILE_KINDS = 12,
};

/* F02: replies that no server sends. reply holds the header and the question. */
static size_t hostile_reply(struct names *self, uint8_t *reply, size_t len)
{
    uint8_t *at = reply + len;
    static const uint8_t a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1};
    static const uint8_t txt[] = {0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 3, 2, 'h', 'i'};
    bool is_txt = reply[len - 3] == NAMES_TXT;
    size_t size = is_txt ? sizeof(txt) : sizeof(a);
    names_put16(reply + 6, 1);
    memcpy(at, is_txt ? txt : a, size);
    switch (self->hostile_kind) {
    case 0: /* a pointer to itself */
        names_put16(at, 0xc000 | len);
        return len + size;
    case 1: /* a pointer forward */
        names_put16(at, 0xc000 | (len + 8));
        return len + size;
    case 2: /* beyond the packet */
        names_put16(at, 0xffff);
        return len + size;
    case 3: /* a label of 64 */
        memset(at, 64, 200);
        return len + 200;
    case 4: /* a name of 256 and more */
        memset(at, 1, 600);
        return len + 600;
    case 5: /* rdlength beyond the packet */
        names_put16(at + 10, 0xffff);
        return len + size;
    case 6: /* a string longer than its record, or an address of 3 bytes */
        if (is_txt)
            at[12] = 200;
        else
            names_put16(at + 10, 3);
        return len + size;
    case 7: /* 65,535 answers, of which none is there */
        names_put16(reply + 6, 0xffff);
        return len;
    case 8: /* cut within the header */
        return 5;
    case 9: /* cut within the answer */
        return len + 5;
    case 10: /* no question */
        names_put16(reply + 4, 0);
        return len + size;
    default: /* the question's own name is a pointer to itself */
        names_put16(reply + 12, 0xc00c);
        return len + size;
    }
}

static void test_F02_hostile_replies(void **state)
{
    struct setting s;
    setup(&s, state);
    s.names.hostile = hostile_reply;
    for (int i = 0; i < HOSTILE_KINDS; i++) {
        s.names.hostile_kind = i;
        snprintf(s.target, sizeof(s.target), "/dns4/evil%d.test/tcp/1%s", i, s.peer);
        /* What is no reply at all is not believed, and the true one waited for. */
        int code = dial_within(&s, s.target, 200);
        if (code != P2P_ERESOLVE && code != P2P_ETIMEDOUT)
            fail_msg("kind %d: %s", i, s.out.message);
        snprintf(s.target, sizeof(s.target), "/dnsaddr/evil%d.test%s", i, s.peer);
        code = dial_within(&s, s.target, 200);
        if (code != P2P_ERESOLVE && code != P2P_ETIMEDOUT)
            fail_msg("kind %d: %s", i, s.out.message);
    }
    s.names.hostile = NULL;
    names_add(&s.names, "good.test", s.ip);
    assert_int_equal(dial_name(&s, "/dns4/good.test"), 0);
    teardown(&s);
}

static void test_name_servers_are_checked_when_they_are_set(void **state)
{
    static const char *const good[] = {"192.0.2.53", "127.0.0.1:5353", "2001:db8::53",
                                       "[2001:db8::53]", "[::1]:53,127.0.0.1:65535"};
    static const char *const bad[] = {"dns.test",      "1.2.3", "1.2.3.4:",    "1.2.3.4:0",
                                      "1.2.3.4:65536", "[::1",  "[::1]x",      "[::1]:x",
                                      "[]:53",         ",",     "1.2.3.4,,::1"};
    char why[200];
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        p2p_config *config = p2p_config_new();
        assert_int_equal(p2p_config_set(config, "dns_servers", good[i], why, sizeof(why)), 0);
        p2p_config_free(config);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        p2p_config *config = p2p_config_new();
        if (p2p_config_set(config, "dns_servers", bad[i], why, sizeof(why)) != P2P_EINVAL)
            fail_msg("%s", bad[i]);
        assert_non_null(strstr(why, "dns_servers"));
        p2p_config_free(config);
    }
    p2p_config *config = p2p_config_new();
    p2p_host *host;
    for (int i = 0; i < 9; i++)
        assert_int_equal(p2p_config_set(config, "dns_servers", "127.0.0.1", why, sizeof(why)), 0);
    assert_int_equal(p2p_host_new(config, NULL, &host, NULL), P2P_EINVAL);
    p2p_config_free(config);
}

#define UV_ONLY(test)                                                                              \
    {                                                                                              \
#test "/uv", test, NULL, NULL, (void *)WORLD_UV                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_names_of_every_kind_are_dialed),
        BOTH(test_a_stream_opens_through_a_name),
        BOTH(test_a_name_without_such_a_record),
        BOTH(test_a_name_that_does_not_exist_is_named),
        BOTH(test_a_silent_name_server_ends_at_the_deadline),
        BOTH(test_a_dial_is_cancelled_while_the_name_is_asked_for),
        BOTH(test_a_known_address_serves_where_the_name_does_not),
        BOTH(test_a_known_address_may_have_a_name),
        BOTH(test_F04_entries_of_other_peers_are_left_out),
        BOTH(test_F01_chains_of_dnsaddr),
        BOTH(test_F01_a_loop_ends),
        BOTH(test_F01_a_thousand_records),
        BOTH(test_a_dnsaddr_without_a_peer_id),
        BOTH(test_dials_by_name_and_by_address_are_joined),
        BOTH(test_a_dnsaddr_of_several_peers_means_the_first),
        BOTH(test_at_most_4_names_in_a_dial),
        BOTH(test_targets_with_names_that_are_malformed),
        UV_ONLY(test_the_hosts_file_counts),
        UV_ONLY(test_a_long_reply),
        UV_ONLY(test_the_longest_record),
        UV_ONLY(test_F02_hostile_replies),
        UV_ONLY(test_name_servers_are_checked_when_they_are_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
