/* What a node answers on its control socket. */
#include "session.h"

#include <p2p/identify.h>
#include <p2p/peerstore.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node_control.h"

/* ---- node ---- */

static bool answer_node(void *user, const struct json_value *request, struct text *out,
                        const char **why)
{
    const p2p_host *host = user;
    char peer[P2P_PEER_ID_TEXT_MAX];
    (void)request;
    (void)why;
    (void)p2p_peer_id_format(p2p_host_peer(host), peer, sizeof(peer));
    json_begin(out, "node");
    json_string(out, "peer", peer);
    json_string(out, "version", p2p_version());
    json_uint(out, "pid", (uint64_t)getpid());
    json_end(out);
    return true;
}

/* ---- peers ---- */

static int by_peer(const void *a, const void *b)
{
    p2p_conn *const *left = a, *const *right = b;
    int order = memcmp(p2p_conn_peer(*left), p2p_conn_peer(*right), sizeof(p2p_peer_id));
    if (order)
        return order;
    return p2p_conn_id(*left) < p2p_conn_id(*right) ? -1 : 1;
}

/* All of them, those of one peer together. */
static p2p_conn **sorted_conns(const p2p_host *host, size_t *count)
{
    *count = 0;
    while (p2p_host_conn_at(host, *count))
        ++*count;
    p2p_conn **conns = malloc((*count + 1) * sizeof(*conns));
    for (size_t i = 0; conns && i < *count; i++)
        conns[i] = p2p_host_conn_at(host, i);
    if (conns)
        qsort(conns, *count, sizeof(*conns), by_peer);
    return conns;
}

static void add_conn(struct text *out, p2p_conn *conn)
{
    uint32_t rtt_us = p2p_conn_rtt_us(conn);
    json_open(out, NULL, '{');
    json_conn(out, conn);
    if (rtt_us)
        json_decimal(out, "rtt_ms", rtt_us, 3);
    else
        json_string(out, "rtt_ms", NULL);
    json_close(out, '}');
}

static bool answer_peers(void *user, const struct json_value *request, struct text *out,
                         const char **why)
{
    size_t count;
    p2p_conn **conns = sorted_conns(user, &count);
    (void)request;
    *why = "out of memory";
    for (size_t i = 0; conns && i < count;) {
        char peer[P2P_PEER_ID_TEXT_MAX];
        const p2p_peer_id *id = p2p_conn_peer(conns[i]);
        (void)p2p_peer_id_format(id, peer, sizeof(peer));
        json_begin(out, "peer");
        const p2p_identity *identity = p2p_identify_peer(user, id);
        json_string(out, "peer", peer);
        json_string(out, "agent", identity ? identity->agent : NULL);
        json_open(out, "conns", '[');
        for (; i < count && p2p_peer_id_equal(p2p_conn_peer(conns[i]), id); i++)
            add_conn(out, conns[i]);
        json_close(out, ']');
        json_end(out);
    }
    free(conns);
    return conns != NULL;
}

/* ---- known ---- */

static void add_text(struct text *out, const p2p_multiaddr *addr)
{
    char text[P2P_MULTIADDR_TEXT_MAX];
    (void)p2p_multiaddr_format(addr, text, sizeof(text));
    json_string(out, NULL, text);
}

/* Those that would be dialed; else, of a peer that is connected, those that it tells of. */
static void add_addrs_of(struct text *out, const p2p_host *host, const p2p_peer_id *id)
{
    const p2p_identity *identity = p2p_identify_peer(host, id);
    p2p_multiaddr addr;
    size_t known = 0;
    for (; p2p_host_known_addr(host, id, known, &addr) == 0; known++)
        add_text(out, &addr);
    for (size_t i = 0; !known && identity && p2p_identity_addr_at(identity, i, &addr) == 0; i++)
        add_text(out, &addr);
}

static void add_known_peer(struct text *out, const p2p_host *host, const p2p_peer_id *id)
{
    char peer[P2P_PEER_ID_TEXT_MAX];
    const p2p_identity *identity = p2p_identify_peer(host, id);
    (void)p2p_peer_id_format(id, peer, sizeof(peer));
    json_begin(out, "known");
    json_string(out, "peer", peer);
    json_bool(out, "connected", p2p_host_conn(host, id) != NULL);
    json_bool(out, "bootstrap", p2p_host_is_bootstrap(host, id) != 0);
    json_string(out, "agent", identity ? identity->agent : NULL);
    json_bool(out, "signed_record", identity && identity->signed_record);
    json_open(out, "addrs", '[');
    add_addrs_of(out, host, id);
    json_close(out, ']');
    json_open(out, "protocols", '[');
    for (size_t i = 0; identity && i < identity->protocol_count; i++)
        json_string(out, NULL, identity->protocols[i]);
    json_close(out, ']');
    json_end(out);
}

static bool answer_known(void *user, const struct json_value *request, struct text *out,
                         const char **why)
{
    const p2p_host *host = user;
    p2p_peer_id peer;
    p2p_multiaddr addr;
    size_t count;
    p2p_conn **conns = sorted_conns(host, &count);
    (void)request;
    *why = "out of memory";
    for (size_t i = 0; conns && i < count; i++) {
        const p2p_peer_id *id = p2p_conn_peer(conns[i]);
        bool again = i > 0 && p2p_peer_id_equal(p2p_conn_peer(conns[i - 1]), id);
        if (!again && p2p_host_known_addr(host, id, 0, &addr) != 0)
            add_known_peer(out, host, id);
    }
    for (size_t i = 0; conns && p2p_host_known_peer(host, i, &peer) == 0; i++)
        add_known_peer(out, host, &peer);
    free(conns);
    return conns != NULL;
}

/* ---- addrs ---- */

static void add_addr(struct text *out, const char *kind, const p2p_multiaddr *addr)
{
    char text[P2P_MULTIADDR_TEXT_MAX];
    (void)p2p_multiaddr_format(addr, text, sizeof(text));
    json_begin(out, "addr");
    json_string(out, "kind", kind);
    json_string(out, "addr", text);
    json_end(out);
}

static void add_observed(struct text *out, const p2p_host *host)
{
    p2p_observed seen = P2P_OBSERVED_INIT;
    for (size_t i = 0; p2p_identify_observed(host, i, &seen) == 0; i++) {
        char text[P2P_MULTIADDR_TEXT_MAX];
        (void)p2p_multiaddr_format(&seen.addr, text, sizeof(text));
        json_begin(out, "addr");
        json_string(out, "kind", seen.believed ? "observed" : "claimed");
        json_string(out, "addr", text);
        json_uint(out, "networks", seen.networks);
        json_end(out);
    }
}

static void add_known(struct text *out, const p2p_host *host, const p2p_peer_id *peer)
{
    p2p_multiaddr addr;
    for (size_t i = 0; p2p_host_known_addr(host, peer, i, &addr) == 0; i++) {
        char text[P2P_MULTIADDR_TEXT_MAX], id[P2P_PEER_ID_TEXT_MAX];
        (void)p2p_multiaddr_format(&addr, text, sizeof(text));
        (void)p2p_peer_id_format(peer, id, sizeof(id));
        json_begin(out, "addr");
        json_string(out, "kind", "known");
        json_string(out, "addr", text);
        json_string(out, "peer", id);
        json_end(out);
    }
}

static bool answer_addrs(void *user, const struct json_value *request, struct text *out,
                         const char **why)
{
    const p2p_host *host = user;
    p2p_multiaddr addr;
    (void)request;
    (void)why;
    for (size_t i = 0; p2p_host_addr(host, i, &addr) == 0; i++)
        add_addr(out, "listening", &addr);
    add_observed(out, host);
    p2p_peer_id peer;
    for (size_t i = 0; p2p_host_known_peer(host, i, &peer) == 0; i++)
        add_known(out, host, &peer);
    return true;
}

const struct control_request node_requests[] = {
    {"node", answer_node},
    {"peers", answer_peers},
    {"known", answer_known},
    {"addrs", answer_addrs},
    {NULL, NULL},
};
