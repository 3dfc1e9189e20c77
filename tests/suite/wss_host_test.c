/* Secure WebSocket under whole hosts, on real sockets and in the simulator. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"
#include "tests/names.h"
#include "tests/web_certs.h"
#include "tests/web_options.h"

#include "host/host.h"
#include "layer/web_tls.h"

struct setting {
    struct world world;
    struct web_options web;
    p2p_host *a, *b; /* b listens on WEB_OVER */
    char addr[300];
};

static void setting_init(struct setting *self, enum world_kind kind, const char *security,
                         const char *const *dialer)
{
    char option[64];
    web_options_init(&self->web);
    world_init(&self->world, kind, 1, false);
    snprintf(option, sizeof(option), "security=%s", security);
    self->a = world_host(&self->world,
                         dialer ? dialer : (const char *[]){option, self->web.text[2], NULL});
    self->world.over = WEB_OVER;
    self->b = world_host(&self->world,
                         (const char *[]){option, self->web.text[0], self->web.text[1], NULL});
    assert_int_equal(p2p_host_handle(self->b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(self->b, self->addr, sizeof(self->addr));
}

static void setting_fini(struct setting *self)
{
    world_fini(&self->world);
    web_options_fini(&self->web);
}

/* Another way over the same port. */
static const char *other_addr(const struct setting *self, const char *over, char out[300])
{
    const char *at = strstr(self->addr, WEB_OVER);
    assert_non_null(at);
    snprintf(out, 300, "%.*s%s%s", (int)(at - self->addr), self->addr, over, at + strlen(WEB_OVER));
    return out;
}

static int echo(struct setting *self, const char *addr, size_t bytes, struct side *side)
{
    *side = (struct side){.to_send = bytes};
    open_echo(self->a, addr, side);
    assert_true(world_until(&self->world, closed, side, 20000));
    assert_false(side->check_failed);
    if (side->close_code == 0)
        assert_int_equal(side->got, bytes);
    return side->close_code;
}

static void remote_text(p2p_host *host, char *out, size_t cap)
{
    p2p_multiaddr remote;
    p2p_conn *conn = p2p_host_conn_at(host, 0);
    assert_non_null(conn);
    p2p_conn_remote_addr(conn, &remote);
    assert_true(p2p_multiaddr_format(&remote, out, cap) > 0);
}

/* ---- carrying ---- */

static void test_every_channel_runs_over_secure_websocket(void **state)
{
    static const char *const securities[] = {"noise", "tls", "signed", "plaintext"};
    for (size_t i = 0; i < 4; i++) {
        struct setting s;
        struct side side;
        char text[P2P_MULTIADDR_TEXT_MAX];
        setting_init(&s, kind_of(state), securities[i], NULL);
        assert_int_equal(echo(&s, s.addr, i ? 300000 : 4 << 20, &side), 0);
        for (int k = 0; k < 2; k++) {
            remote_text(k ? s.b : s.a, text, sizeof(text));
            assert_non_null(strstr(text, "/tls/ws"));
        }
        setting_fini(&s);
    }
}

/* In the simulator links can bring one byte at a time. */
static void test_in_any_pieces(void **state)
{
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct setting s;
        struct side side;
        setting_init(&s, WORLD_SIM, i % 2 ? "noise" : "tls", NULL);
        path.segments = i < 2 ? P2P_SIM_BYTE : P2P_SIM_RANDOM;
        assert_int_equal(p2p_sim_path(s.world.sim, 0, 0, &path), 0);
        assert_int_equal(echo(&s, s.addr, 30000, &side), 0);
        setting_fini(&s);
    }
}

static bool gone(void *user)
{
    return p2p_host_conn_at(user, 0) == NULL;
}

static int ends;
static int end_code;

static void on_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    (void)host, (void)conn, (void)user;
    ends++;
    end_code = why->code;
}

static void test_a_goodbye_is_orderly(void **state)
{
    static const p2p_host_events events = {.size = sizeof(events),
                                           .on_disconnected = on_disconnected};
    struct setting s;
    struct side side;
    setting_init(&s, kind_of(state), "noise", NULL);
    assert_int_equal(echo(&s, s.addr, 100, &side), 0);
    p2p_host_set_events(s.b, &events, NULL);
    ends = 0;
    p2p_conn_close(p2p_host_conn_at(s.a, 0));
    assert_true(world_until(&s.world, gone, s.a, 2000));
    assert_true(world_until(&s.world, gone, s.b, 2000));
    assert_int_equal(ends, 1);
    assert_int_equal(end_code, P2P_ECLOSED);
    setting_fini(&s);
}

/* ---- one port ---- */

static void listen_on(p2p_host *host, const char *addr, int code)
{
    char text[300];
    p2p_multiaddr parsed;
    snprintf(text, sizeof(text), "%.*s", (int)(strstr(addr, "/p2p/") - addr), addr);
    assert_int_equal(p2p_multiaddr_parse(text, &parsed), 0);
    assert_int_equal(p2p_host_listen(host, &parsed, NULL), code);
}

static void test_one_port_serves_three(void **state)
{
    static const char *const overs[] = {"", "/ws", WEB_OVER};
    struct setting s;
    char addr[300], text[P2P_MULTIADDR_TEXT_MAX];
    setting_init(&s, kind_of(state), "noise", NULL);
    listen_on(s.b, other_addr(&s, "/ws", addr), 0);
    listen_on(s.b, other_addr(&s, "", addr), 0);
    listen_on(s.b, other_addr(&s, "/ws", addr), P2P_ELISTEN);
    for (size_t i = 0; i < 3; i++) {
        p2p_multiaddr listening;
        struct side side;
        assert_int_equal(p2p_host_addr(s.b, i, &listening), 0);
        assert_int_equal(echo(&s, other_addr(&s, overs[i], addr), 1000, &side), 0);
        remote_text(s.b, text, sizeof(text));
        assert_int_equal(strstr(text, "/ws") != NULL, i > 0);
        assert_int_equal(strstr(text, "/tls") != NULL, i == 2);
        p2p_conn_close(p2p_host_conn_at(s.a, 0));
        assert_true(world_until(&s.world, gone, s.a, 3000));
        assert_true(world_until(&s.world, gone, s.b, 3000));
    }
    setting_fini(&s);
}

/* What was not asked for is not served: a port for secure WebSocket takes no other. */
static void test_only_what_was_asked_for(void **state)
{
    struct setting s;
    struct side side;
    char addr[300];
    setting_init(&s, kind_of(state), "noise", NULL);
    assert_true(echo(&s, other_addr(&s, "/ws", addr), 10, &side) < 0);
    assert_int_equal(echo(&s, other_addr(&s, "", addr), 10, &side), 0); /* plain always is */
    setting_fini(&s);
    setting_init(&s, kind_of(state), "noise", NULL);
    s.world.over = "/ws";
    p2p_host *c = world_host(&s.world, NULL);
    world_addr(c, s.addr, sizeof(s.addr));
    char *ws = strstr(s.addr, "/ws/p2p/");
    snprintf(addr, sizeof(addr), "%.*s" WEB_OVER "%s", (int)(ws - s.addr), s.addr, ws + 3);
    assert_true(echo(&s, addr, 10, &side) < 0);
    setting_fini(&s);
}

static void test_forms_of_the_address(void **state)
{
    static const char *const forms[] = {"/tcp/0/wss", "/tcp/0/tls/ws",
                                        "/tcp/0/tls/sni/*.node.example/ws"};
    struct setting s;
    char ip[64], text[P2P_MULTIADDR_TEXT_MAX];
    setting_init(&s, kind_of(state), "noise", NULL);
    snprintf(ip, sizeof(ip), "%.*s", (int)(strstr(s.addr, "/tcp/") - s.addr), s.addr);
    for (size_t i = 0; i < 3; i++) {
        p2p_multiaddr addr;
        snprintf(text, sizeof(text), "%s%s", ip, forms[i]);
        assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
        assert_int_equal(p2p_host_listen(s.b, &addr, NULL), 0);
        assert_int_equal(p2p_host_addr(s.b, 1 + i, &addr), 0);
        assert_true(p2p_multiaddr_format(&addr, text, sizeof(text)) > 0);
        assert_non_null(strstr(text, forms[i] + 6));
        assert_null(strstr(text, "/tcp/0"));
    }
    /* A name to be filled in cannot be dialed. */
    struct side side;
    assert_int_equal(echo(&s, text, 10, &side), P2P_EADDR);
    setting_fini(&s);
}

static void test_no_certificate_to_listen_with(void **state)
{
    struct world world;
    p2p_multiaddr addr;
    p2p_error *err = NULL;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *host = world_host(&world, NULL);
    assert_int_equal(p2p_multiaddr_parse("/ip4/127.0.0.1/tcp/0/tls/ws", &addr), 0);
    assert_int_equal(p2p_host_listen(host, &addr, &err), P2P_ENOTSUP);
    assert_string_equal(err->message, "cannot listen on /ip4/127.0.0.1/tcp/0/tls/ws: the option "
                                      "wss_cert names no certificate");
    p2p_error_free(err);
    world_fini(&world);
}

/* ---- whom a dialer believes ---- */

static void expect_refused(struct setting *s, const char *addr, const char *why)
{
    struct side side;
    assert_int_equal(echo(s, addr, 10, &side), P2P_EHANDSHAKE);
    if (!strstr(side.message, why))
        fail_msg("%s", side.message);
    assert_int_equal(side.attempts, 1);
    assert_false(side.opened);
}

static void test_certificates_that_are_not_believed(void **state)
{
    struct setting s;
    char addr[300];
    static const char *const nothing[] = {"services=", NULL};
    setting_init(&s, kind_of(state), "noise", nothing);
    expect_refused(&s, s.addr, "not signed by an authority that is trusted here");
    setting_fini(&s);
    setting_init(&s, kind_of(state), "noise", NULL);
    expect_refused(&s, other_addr(&s, "/tls/sni/other.example/ws", addr), "for another name");
    if (s.world.kind == WORLD_SIM)
        expect_refused(&s, other_addr(&s, "/wss", addr), "not for its IP address");
    else
        assert_int_equal(echo(&s, other_addr(&s, "/wss", addr), 10, &(struct side){0}), 0);
    setting_fini(&s);
}

/* The peer id is proven inside, whatever the certificate says. */
static void test_T12_another_peer_than_dialed(void **state)
{
    struct setting s;
    struct side side;
    char addr[300];
    setting_init(&s, kind_of(state), "noise", NULL);
    const char *peer = strstr(s.addr, "/p2p/");
    snprintf(addr, sizeof(addr), "%.*s/p2p/12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv",
             (int)(peer - s.addr), s.addr);
    assert_int_equal(echo(&s, addr, 10, &side), P2P_EPEERID);
    setting_fini(&s);
}

static void test_names_are_resolved_and_proven(void **state)
{
    static const char *const overs[] = {"/wss", "/tls/ws", WEB_OVER};
    struct setting s;
    struct names names;
    struct side side;
    char addr[300], ip[64];
    web_options_init(&s.web);
    world_init(&s.world, kind_of(state), 1, false);
    names_init(&names, &s.world);
    s.a = world_host(&s.world, (const char *[]){s.web.text[2], names.options[0], NULL});
    s.world.over = WEB_OVER;
    s.b = world_host(&s.world, s.web.list);
    assert_int_equal(p2p_host_handle(s.b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(s.b, s.addr, sizeof(s.addr));
    const char *tcp = strstr(s.addr, "/tcp/");
    int port_len = (int)(strstr(tcp, WEB_OVER) - tcp);
    snprintf(ip, sizeof(ip), "%.*s", (int)(tcp - s.addr - 5), s.addr + 5);
    names_add(&names, "x.node.example", ip);
    names_add(&names, "other.example", ip);
    const char *peer = strstr(s.addr, "/p2p/");
    for (size_t i = 0; i < 3; i++) {
        snprintf(addr, sizeof(addr), "/dns4/x.node.example%.*s%s%s", port_len, tcp, overs[i], peer);
        assert_int_equal(echo(&s, addr, 10, &side), 0);
        p2p_conn_close(p2p_host_conn_at(s.a, 0));
        assert_true(world_until(&s.world, gone, s.a, 3000));
    }
    snprintf(addr, sizeof(addr), "/dns4/other.example%.*s/wss%s", port_len, tcp, peer);
    expect_refused(&s, addr, "for another name");
    snprintf(addr, sizeof(addr), "/dns4/other.example%.*s" WEB_OVER "%s", port_len, tcp, peer);
    assert_int_equal(echo(&s, addr, 10, &side), 0); /* it is that name's certificate */
    names_fini(&names);
    setting_fini(&s);
}

/* ---- renewal ---- */

static void test_a_renewed_certificate_is_shown_and_open_connections_stay(void **state)
{
    struct setting s;
    struct side first, side;
    struct web_cert next;
    setting_init(&s, kind_of(state), "noise", NULL);
    assert_int_equal(echo(&s, s.addr, 1000, &first), 0);
    uint64_t id = p2p_conn_id(p2p_host_conn_at(s.a, 0));
    web_cert_init(&next,
                  &(struct web_recipe){.names = "DNS:node.example",
                                       .not_before_s = 200000000,
                                       .not_after_s = 32503680000},
                  NULL);
    web_put(s.web.path[0], next.pem);
    web_put(s.web.path[1], next.key_pem);
    assert_int_equal(p2p_host_reload(s.b, NULL), 0);
    assert_int_equal(echo(&s, s.addr, 1000, &side), 0);
    assert_int_equal(p2p_conn_id(p2p_host_conn_at(s.a, 0)), id);
    p2p_conn_close(p2p_host_conn_at(s.a, 0));
    assert_true(world_until(&s.world, gone, s.a, 3000));
    expect_refused(&s, s.addr, "not signed by an authority that is trusted here");
    assert_int_equal(p2p_host_reload(s.a, NULL), 0); /* which trusts that very certificate */
    assert_int_equal(echo(&s, s.addr, 1000, &side), 0);
    web_cert_fini(&next);
    setting_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_every_channel_runs_over_secure_websocket),
        cmocka_unit_test(test_in_any_pieces),
        BOTH(test_a_goodbye_is_orderly),
        BOTH(test_one_port_serves_three),
        BOTH(test_only_what_was_asked_for),
        BOTH(test_forms_of_the_address),
        BOTH(test_no_certificate_to_listen_with),
        BOTH(test_certificates_that_are_not_believed),
        BOTH(test_T12_another_peer_than_dialed),
        BOTH(test_names_are_resolved_and_proven),
        BOTH(test_a_renewed_certificate_is_shown_and_open_connections_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
