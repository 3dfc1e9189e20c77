/* p2p ping */
#include "session.h"

#include <limits.h>

#include <p2p/ping.h>

struct pinging {
    struct session session; /* first: hooks get it */
    p2p_ping_opts opts;
    uint64_t sent, received, min_us, max_us, sum_us;
};

static void show_summary(struct pinging *self)
{
    struct cli *cli = self->session.cli;
    struct text line = {0};
    uint64_t avg_us = self->received ? self->sum_us / self->received : 0;
    const uint64_t us[] = {self->min_us, avg_us, self->max_us};
    if (cli->json) {
        static const char *const keys[] = {"min_ms", "avg_ms", "max_ms"};
        json_begin(&line, "summary");
        json_uint(&line, "sent", self->sent);
        json_uint(&line, "received", self->received);
        for (size_t i = 0; i < 3; i++) {
            if (self->received)
                json_decimal(&line, keys[i], us[i], 3);
            else
                json_string(&line, keys[i], NULL);
        }
        json_end(&line);
        cli_json(cli, &line);
        return;
    }
    text_addf(&line, "%llu sent, %llu received", (unsigned long long)self->sent,
              (unsigned long long)self->received);
    static const char *const words[] = {"; min ", " ms, avg ", " ms, max "};
    for (size_t i = 0; self->received && i < 3; i++) {
        text_add(&line, words[i]);
        text_add_decimal(&line, us[i], 3);
    }
    text_add(&line, self->received ? " ms\n" : "\n");
    cli_print(cli, &line);
}

static void show_ping(struct pinging *self, const p2p_ping_result *result)
{
    struct cli *cli = self->session.cli;
    struct text line = {0};
    if (cli->json) {
        json_begin(&line, "ping");
        json_uint(&line, "seq", result->seq);
        if (result->why)
            json_string(&line, "error", p2p_code_name(result->why->code));
        else
            json_decimal(&line, "rtt_ms", result->rtt_us, 3);
        json_end(&line);
        cli_json(cli, &line);
        return;
    }
    text_addf(&line, "seq=%llu ", (unsigned long long)result->seq);
    if (result->why) {
        text_add(&line, "failed: ");
        text_add_safe(&line, result->why->message);
    } else {
        text_add(&line, "time=");
        text_add_decimal(&line, result->rtt_us, 3);
        text_add(&line, " ms");
    }
    text_add(&line, "\n");
    cli_print(cli, &line);
}

static void on_ping(void *user, const p2p_ping_result *result)
{
    struct pinging *self = user;
    if (self->session.ending)
        return;
    self->sent++;
    if (!result->why) {
        self->received++;
        self->sum_us += result->rtt_us;
        if (self->received == 1 || result->rtt_us < self->min_us)
            self->min_us = result->rtt_us;
        if (result->rtt_us > self->max_us)
            self->max_us = result->rtt_us;
    }
    show_ping(self, result);
}

static void on_done(void *user, const p2p_error *why)
{
    struct pinging *self = user;
    if (self->session.ending)
        return;
    if (why) {
        session_fail(&self->session, why);
        return;
    }
    show_summary(self);
    session_end(&self->session, self->received
                                    ? EXIT_OK
                                    : report(self->session.cli, P2P_ETIMEDOUT,
                                             "none of %llu pings was answered by %s",
                                             (unsigned long long)self->sent, self->session.target));
}

static void on_interrupt(struct session *session)
{
    if (session->connected)
        show_summary((struct pinging *)(void *)session);
}

static void on_connected(struct session *session, p2p_conn *conn)
{
    char peer[P2P_PEER_ID_TEXT_MAX], addr[P2P_MULTIADDR_TEXT_MAX];
    p2p_multiaddr remote;
    struct text line = {0};
    if (session->cli->json)
        return;
    p2p_conn_remote_addr(conn, &remote);
    (void)p2p_multiaddr_format(&remote, addr, sizeof(addr));
    (void)p2p_peer_id_format(p2p_conn_peer(conn), peer, sizeof(peer));
    text_addf(&line, "PING %s at %s\n", peer, addr);
    cli_print(session->cli, &line);
}

static void start(struct session *session)
{
    struct pinging *self = (struct pinging *)(void *)session;
    if (!p2p_ping_start(session->host, session->target, &self->opts, on_ping, on_done, self))
        session_end(session, report(session->cli, P2P_ENOMEM, "out of memory"));
}

int ping_run(struct cli *cli)
{
    struct pinging self = {.session = {.on_interrupt = on_interrupt, .on_connected = on_connected}};
    p2p_ping_opts opts = P2P_PING_OPTS_INIT;
    uint64_t count;
    int interval_ms;
    int code = args_uint(cli, OPT_COUNT, INT_MAX, 3, &count);
    if (!code)
        code = args_ms(cli, OPT_INTERVAL, 0, 1000, &interval_ms);
    if (!code)
        code = session_open(&self.session, cli, false);
    if (code)
        return code;
    self.session.protocol = P2P_PING_PROTOCOL;
    opts.count = count ? (int)count : -1;
    opts.interval_ms = interval_ms ? interval_ms : -1;
    opts.timeout_ms = opts.dial_timeout_ms = self.session.timeout_ms;
    self.opts = opts;
    session_start(&self.session, start);
    return session_run(&self.session);
}
