/* p2p peers, p2p addrs: what a running node knows. */
#include "ask.h"

static void add_conn(const struct json_value *conn, const char *peer, const char *agent,
                     struct text *out)
{
    static const char *const keys[] = {"conn", "addr", "direction", "security", "muxer"};
    const char *values[5];
    for (size_t i = 0; i < 5; i++) {
        const struct json_value *value = json_get(conn, keys[i]);
        values[i] = value && value->text && value->type != JSON_NULL ? value->text : "";
    }
    text_add_safe(out, values[0]);
    text_add(out, " ");
    text_add_safe(out, peer);
    text_add(out, values[2][0] == 'o' ? " at " : " from ");
    text_add_safe(out, values[1]);
    text_add(out, " (");
    text_add_safe(out, values[3]);
    text_add(out, values[4][0] ? ", " : "");
    text_add_safe(out, values[4]);
    text_add(out, json_true(conn, "limited") ? ", limited)" : ")");
    const struct json_value *rtt = json_get(conn, "rtt_ms");
    if (rtt && rtt->type == JSON_NUMBER) {
        text_add(out, " ");
        text_add_safe(out, rtt->text);
        text_add(out, " ms");
    }
    if (agent) {
        text_add(out, " ");
        text_add_safe(out, agent);
    }
    text_add(out, "\n");
}

static void show_peer(const struct json_value *object, struct text *out)
{
    const char *peer = json_text(object, "peer"), *agent = json_text(object, "agent");
    const struct json_value *conns = json_get(object, "conns");
    for (const struct json_value *conn = conns ? conns->first : NULL; conn; conn = conn->next)
        add_conn(conn, peer ? peer : "", agent, out);
}

static void show_known(const struct json_value *object, struct text *out)
{
    const char *peer = json_text(object, "peer"), *agent = json_text(object, "agent");
    const struct json_value *addrs = json_get(object, "addrs");
    text_add_safe(out, peer ? peer : "");
    text_add(out, json_true(object, "connected") ? " connected" : " not connected");
    for (const struct json_value *addr = addrs ? addrs->first : NULL; addr; addr = addr->next) {
        text_add(out, " ");
        text_add_safe(out, addr->text ? addr->text : "");
    }
    if (agent) {
        text_add(out, " ");
        text_add_safe(out, agent);
    }
    text_add(out, "\n");
}

int peers_run(struct cli *cli)
{
    if (args_value(&cli->args, OPT_KNOWN))
        return ask(cli, "{\"request\":\"known\"}", show_known);
    return ask(cli, "{\"request\":\"peers\"}", show_peer);
}

static void show_addr(const struct json_value *object, struct text *out)
{
    const char *kind = json_text(object, "kind"), *addr = json_text(object, "addr");
    text_add_safe(out, kind ? kind : "");
    text_add(out, " ");
    text_add_safe(out, addr ? addr : "");
    const char *peer = json_text(object, "peer");
    if (peer) {
        text_add(out, "/p2p/");
        text_add_safe(out, peer);
    }
    text_add(out, "\n");
}

int addrs_run(struct cli *cli)
{
    return ask(cli, "{\"request\":\"addrs\"}", show_addr);
}
