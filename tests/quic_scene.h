/* A scene (tests/scene.h) whose victim listens on QUIC as well, with a machine of raw QUIC peers,
 * and an honest guest who comes and goes. Include after tests/world.h. */
#ifndef P2P_TESTS_QUIC_SCENE_H
#define P2P_TESTS_QUIC_SCENE_H

#include "tests/scene.h"

#include "tests/quic_raw.h"

enum {
    HANDSHAKE_MS = 10 * 1000,
    SOON_MS = 3000,
    GRAVE_MS = 5000,
};

/* A scene whose victim listens on QUIC as well, and a machine of raw peers there. */
struct quic_scene {
    struct scene scene;
    struct quic_raw_net net;
    p2p_host *guest; /* honest, and not connected */
    char addr[256];
};

static inline void find_quic(p2p_host *host, char *out, size_t cap)
{
    p2p_multiaddr addr;
    for (size_t i = 0; p2p_host_addr(host, i, &addr) == 0; i++) {
        assert_true(p2p_multiaddr_format(&addr, out, cap) > 0);
        if (strstr(out, "/quic-v1"))
            return;
    }
    fail_msg("no address of QUIC");
}

/* An honest dial and an exchange, over a new connection that is closed again; in milliseconds. */
static inline uint64_t guest_visits(struct quic_scene *self)
{
    struct side side = {.to_send = 10000};
    uint64_t began_ms = scene_now_ms(&self->scene);
    open_echo(self->guest, self->addr, &side);
    assert_true(world_until(&self->scene.world, closed, &side, 5000));
    if (side.close_code)
        fail_msg("%d: %s", side.close_code, side.message);
    uint64_t took_ms = scene_now_ms(&self->scene) - began_ms;
    p2p_conn *conn = p2p_host_conn(self->guest, p2p_host_peer(self->scene.victim));
    assert_non_null(conn);
    p2p_conn_close(conn);
    world_run(&self->scene.world, 1);
    return took_ms;
}

/* A raw peer with an open connection. */
static inline struct quic_raw *quic_open(struct quic_scene *self)
{
    struct quic_raw *peer = quic_raw_dial(&self->net, self->addr, NULL);
    assert_true(scene_until(&self->scene, quic_raw_is_open, peer, SOON_MS));
    assert_int_equal(peer->over, 0);
    world_run(&self->scene.world, 200); /* confirmed, names exchanged */
    return peer;
}

static inline void quic_init(struct quic_scene *self, enum world_kind kind)
{
    char text[128], ip[46] = "127.0.0.1";
    p2p_multiaddr addr;
    scene_init(&self->scene, kind, NULL, false);
    if (kind == WORLD_SIM)
        assert_int_equal(p2p_sim_address(self->scene.world.io[0], 0, ip, sizeof(ip)), 0);
    snprintf(text, sizeof(text), "/ip4/%s/udp/0/quic-v1", ip);
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    assert_int_equal(p2p_host_listen(self->scene.victim, &addr, NULL), 0);
    find_quic(self->scene.victim, self->addr, sizeof(self->addr));
    self->guest = world_host(&self->scene.world, NULL);
    quic_raw_net_init(&self->net, &self->scene.world);
    /* What is made once is not the attack's. */
    (void)guest_visits(self);
    quic_raw_free(quic_open(self));
    scene_measure(&self->scene);
}

static inline void quic_fini(struct quic_scene *self)
{
    assert_true(guest_visits(self) <= 2000);
    quic_raw_net_fini(&self->net);
    /* Handshakes that nobody goes on with, and their graves. */
    if (self->scene.world.kind == WORLD_SIM)
        scene_run(&self->scene, HANDSHAKE_MS + GRAVE_MS);
    scene_fini(&self->scene);
}

/* It is still there: a packet is answered. */
static inline void still_serves(struct quic_scene *self, struct quic_raw *peer)
{
    static const uint8_t ping[] = {0x01};
    size_t before = peer->datagrams;
    quic_raw_inject(peer, QUIC_RAW_SHORT, ping, sizeof(ping));
    world_run(&self->scene.world, 500);
    assert_int_equal(peer->over, 0);
    assert_true(peer->datagrams > before);
}

static inline void ended_with(struct quic_scene *self, struct quic_raw *peer, uint64_t code,
                              const char *name)
{
    (void)scene_until(&self->scene, quic_raw_is_over, peer, SOON_MS);
    if (peer->over != NGTCP2_ERR_DRAINING || peer->app_close || peer->code != code)
        fail_msg("%s: %zu datagrams, %s, code 0x%llx%s and not 0x%llx", name, peer->datagrams,
                 peer->over ? ngtcp2_strerror(peer->over) : "goes on",
                 (unsigned long long)peer->code, peer->app_close ? " of the application" : "",
                 (unsigned long long)code);
}

#endif
