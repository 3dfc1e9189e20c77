/* p2p identify */
#include "session.h"

#include <p2p/identify.h>

static void add_addr(struct text *line, const p2p_identity *identity, size_t index)
{
    p2p_multiaddr addr;
    char text[P2P_MULTIADDR_TEXT_MAX];
    if (p2p_identity_addr_at(identity, index, &addr) == 0 &&
        p2p_multiaddr_format(&addr, text, sizeof(text)) >= 0)
        text_add(line, text);
}

static void add_observed(struct text *line, const p2p_identity *identity)
{
    p2p_multiaddr addr;
    char text[P2P_MULTIADDR_TEXT_MAX];
    const p2p_identity_addr *observed = &identity->observed_addr;
    if (observed->len && p2p_multiaddr_decode(observed->bytes, observed->len, &addr) == 0 &&
        p2p_multiaddr_format(&addr, text, sizeof(text)) >= 0)
        text_add(line, text);
}

static void show_json(struct cli *cli, const p2p_identity *identity, const char *peer)
{
    struct text line = {0}, addr = {0};
    json_begin(&line, "identify");
    json_string(&line, "peer", peer);
    json_string(&line, "agent", identity->agent);
    json_string(&line, "protocol_version", identity->protocol_version);
    json_open(&line, "protocols", '[');
    for (size_t i = 0; i < identity->protocol_count; i++)
        json_string(&line, NULL, identity->protocols[i]);
    json_close(&line, ']');
    json_open(&line, "listen_addrs", '[');
    for (size_t i = 0; i < identity->addr_count; i++) {
        add_addr(&addr, identity, i);
        json_string(&line, NULL, addr.data);
        text_free(&addr);
    }
    json_close(&line, ']');
    add_observed(&addr, identity);
    json_string(&line, "observed_addr", addr.data);
    text_free(&addr);
    json_bool(&line, "signed_record", identity->signed_record);
    json_end(&line);
    cli_json(cli, &line);
}

static void show_text(struct cli *cli, const p2p_identity *identity, const char *peer)
{
    struct text line = {0};
    text_addf(&line, "peer              %s\n", peer);
    text_add(&line, "agent             ");
    text_add_safe(&line, identity->agent);
    text_add(&line, "\nprotocol version  ");
    text_add_safe(&line, identity->protocol_version);
    text_add(&line, "\nsees us at        ");
    add_observed(&line, identity);
    text_addf(&line, "\nsigned record     %s\n", identity->signed_record ? "yes" : "no");
    for (size_t i = 0; i < identity->addr_count; i++) {
        text_add(&line, i ? "                  " : "listens on        ");
        add_addr(&line, identity, i);
        text_add(&line, "\n");
    }
    for (size_t i = 0; i < identity->protocol_count; i++) {
        text_add(&line, i ? "                  " : "protocols         ");
        text_add_safe(&line, identity->protocols[i]);
        text_add(&line, "\n");
    }
    cli_print(cli, &line);
}

static void on_identity(void *user, const p2p_identity *identity, const p2p_error *why)
{
    struct session *self = user;
    char peer[P2P_PEER_ID_TEXT_MAX];
    if (self->ending)
        return;
    if (!identity) {
        session_fail(self, why);
        return;
    }
    session_clear_progress(self);
    (void)p2p_peer_id_format(&identity->peer, peer, sizeof(peer));
    if (self->cli->json)
        show_json(self->cli, identity, peer);
    else
        show_text(self->cli, identity, peer);
    session_end(self, EXIT_OK);
}

static void start(struct session *self)
{
    p2p_dial_opts opts = session_dial_opts(self);
    if (p2p_identify_request(self->host, self->target, &opts, on_identity, self) < 0)
        session_end(self, report(self->cli, P2P_ENOMEM, "out of memory"));
}

int identify_run(struct cli *cli)
{
    struct session self = {.on_progress = NULL};
    int code = session_open(&self, cli, false);
    if (code)
        return code;
    self.protocol = P2P_IDENTIFY_PROTOCOL;
    session_start(&self, start);
    return session_run(&self);
}
