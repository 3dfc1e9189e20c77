#include "session.h"

#include "via.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Signals are answered within two seconds; a host closes within one. */
    WATCHDOG_MS = 1500,
    SIGNALED_FLUSH_MS = 1500,
    /* People wait for a second without asking. */
    PROGRESS_AFTER_MS = 1000,
    PROGRESS_EVERY_MS = 500,
};

/* ---- progress ---- */

void session_clear_progress(struct session *self)
{
    if (self->progress_shown)
        fputs("\r\033[K", stderr);
    self->progress_shown = false;
}

static void on_tick(uv_timer_t *timer)
{
    struct session *self = timer->data;
    struct text status = {0};
    if (self->ending)
        return;
    if (!self->connected) {
        uint64_t seconds = (uv_now(&self->loop) - self->begun_ms) / 1000;
        text_addf(&status, "connecting... %llu s", (unsigned long long)seconds);
    } else if (self->on_progress) {
        self->on_progress(self, &status);
    }
    session_clear_progress(self);
    if (status.len) {
        fprintf(stderr, "%s", status.data);
        self->progress_shown = true;
    }
    text_free(&status);
}

static void start_progress(struct session *self)
{
    if (!self->target || self->cli->json || !isatty(STDERR_FILENO))
        return;
    uv_timer_start(&self->ticker, on_tick, PROGRESS_AFTER_MS, PROGRESS_EVERY_MS);
    uv_unref((uv_handle_t *)&self->ticker);
}

/* ---- the end ---- */

static void on_closed(void *user, const p2p_error *why)
{
    struct session *self = user;
    (void)why;
    self->host = NULL;
    p2p_io_free(self->io);
    for (size_t i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&self->signals[i], NULL);
    via_close(self);
    uv_close((uv_handle_t *)&self->watchdog, NULL);
    uv_close((uv_handle_t *)&self->ticker, NULL);
    out_unwatch(&self->cli->out);
}

void session_end(struct session *self, int exit_code)
{
    if (self->ending)
        return;
    self->ending = true;
    self->exit_code = exit_code;
    session_clear_progress(self);
    if (self->on_end)
        self->on_end(self);
    p2p_host_close(self->host, on_closed, self);
}

void session_fail(struct session *self, const p2p_error *why)
{
    int code;
    if (self->ending)
        return;
    session_clear_progress(self);
    if (why->code == P2P_ENOPROTO && self->protocol)
        code = report(self->cli, why->code, "%s does not speak %s", self->target, self->protocol);
    else if (why->code == P2P_ENOADDR)
        code = report(self->cli, why->code, "no address of %s is known", self->target);
    else
        code = report_error(self->cli, why, self->connected);
    session_end(self, code);
}

static void on_watchdog(uv_timer_t *timer)
{
    struct session *self = timer->data;
    _exit(self->exit_code);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct session *self = handle->data;
    if (self->signal)
        _exit(EXIT_SIGNALED + number); /* asked twice: at once */
    self->signal = number;
    self->signal_ms = uv_now(&self->loop);
    uv_timer_start(&self->watchdog, on_watchdog, WATCHDOG_MS, 0);
    uv_unref((uv_handle_t *)&self->watchdog);
    if (!self->ending && self->on_interrupt)
        self->on_interrupt(self);
    session_end(self, self->target ? EXIT_SIGNALED + number : EXIT_OK);
}

static void on_hangup(uv_signal_t *handle, int number)
{
    struct session *self = handle->data;
    (void)number;
    if (!self->ending)
        self->on_hangup(self);
}

void session_catch_hangup(struct session *self, void (*hook)(struct session *self))
{
    self->on_hangup = hook;
    uv_signal_start(&self->signals[2], on_hangup, SIGHUP);
    uv_unref((uv_handle_t *)&self->signals[2]);
}

static void on_stdout(void *user)
{
    struct session *self = user;
    int error = out_error(&self->cli->out);
    if (error && out_closed(&self->cli->out))
        session_end(self, EXIT_OK);
    else if (error && !self->ending)
        session_end(self, report(self->cli, P2P_EWRITE, "cannot write to standard output: %s",
                                 strerror(error)));
    else if (self->on_written && !self->ending)
        self->on_written(self);
}

/* ---- the beginning ---- */

static void on_host_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    struct session *self = user;
    (void)host;
    if (self->ending || self->connected || !p2p_conn_outbound(conn))
        return;
    self->connected = true;
    session_clear_progress(self);
    if (self->on_connected)
        self->on_connected(self, conn);
}

void session_on_warning(p2p_host *host, const p2p_error *why, void *user)
{
    struct text line = {0};
    (void)host;
    session_clear_progress(user);
    text_add(&line, "p2p: ");
    text_add_safe(&line, why->message);
    fprintf(stderr, "%s\n", line.data);
    text_free(&line);
}

static const p2p_host_events dialing_events = {
    .size = sizeof(dialing_events),
    .on_warning = session_on_warning,
    .on_connected = on_host_connected,
};

static void open_handles(struct session *self)
{
    static const int numbers[2] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(&self->loop, &self->signals[i]);
        self->signals[i].data = self;
        uv_signal_start(&self->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&self->signals[i]);
    }
    uv_signal_init(&self->loop, &self->signals[2]);
    self->signals[2].data = self;
    uv_timer_init(&self->loop, &self->watchdog);
    uv_timer_init(&self->loop, &self->ticker);
    self->watchdog.data = self->ticker.data = self;
}

static int open_host(struct session *self, const p2p_config *config)
{
    p2p_error *why = NULL;
    self->io = p2p_io_uv(&self->loop);
    if (!self->io)
        return report(self->cli, P2P_EINTERNAL, "cannot make an event loop of libuv %s",
                      uv_version_string());
    int rc = p2p_host_new(config, self->io, &self->host, &why);
    if (rc == 0)
        return 0;
    const char *message = why ? why->message : p2p_code_text(rc);
    int code = exit_of(rc, false) == EXIT_USAGE ? report_usage(self->cli, "%s", message)
               : why                            ? report_error(self->cli, why, false)
                                                : report(self->cli, rc, "%s", message);
    p2p_error_free(why);
    p2p_io_free(self->io);
    return code;
}

int session_open(struct session *self, struct cli *cli, bool serve)
{
    int code;
    self->cli = cli;
    self->target = serve ? NULL : cli->args.rest[0];
    code = args_ms(cli, OPT_TIMEOUT, 1, 0, &self->timeout_ms);
    if (code)
        return code;
    code = settings_open(&self->settings, cli, serve);
    if (code)
        return code;
    if (uv_loop_init(&self->loop) != 0) {
        settings_close(&self->settings);
        return report(cli, P2P_EINTERNAL, "cannot make an event loop");
    }
    code = out_watch(&cli->out, &self->loop, on_stdout, self) < 0
               ? report(cli, P2P_EINTERNAL, "cannot make an event loop")
               : open_host(self, self->settings.config);
    if (code) {
        settings_close(&self->settings);
        out_unwatch(&cli->out);
        uv_run(&self->loop, UV_RUN_DEFAULT);
        uv_loop_close(&self->loop);
        return code;
    }
    open_handles(self);
    self->begun_ms = uv_now(&self->loop);
    if (!serve)
        p2p_host_set_events(self->host, &dialing_events, self);
    start_progress(self);
    return 0;
}

void session_start(struct session *self, void (*on_start)(struct session *self))
{
    const char *via = args_value(&self->cli->args, OPT_VIA);
    int code = 0;
    self->on_start = on_start;
    if (via)
        code = via_start(self, via);
    else
        on_start(self);
    if (code)
        session_end(self, code);
}

p2p_dial_opts session_dial_opts(const struct session *self)
{
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.timeout_ms = self->timeout_ms;
    return opts;
}

int session_run(struct session *self)
{
    uv_run(&self->loop, UV_RUN_DEFAULT);
    int left_ms = -1;
    if (self->signal) {
        uint64_t passed_ms = uv_hrtime() / 1000000 - self->signal_ms;
        left_ms = passed_ms < SIGNALED_FLUSH_MS ? (int)(SIGNALED_FLUSH_MS - passed_ms) : 0;
    }
    out_flush(&self->cli->out, left_ms);
    self->cli->hurried = self->signal != 0;
    uv_loop_close(&self->loop);
    settings_close(&self->settings);
    return self->exit_code;
}

/* ---- what several commands show ---- */

void json_conn(struct text *line, p2p_conn *conn)
{
    static const char *const protection[] = {"none", "signed", "full"};
    char peer[P2P_PEER_ID_TEXT_MAX], addr[P2P_MULTIADDR_TEXT_MAX];
    p2p_multiaddr remote;
    p2p_conn_remote_addr(conn, &remote);
    (void)p2p_multiaddr_format(&remote, addr, sizeof(addr));
    (void)p2p_peer_id_format(p2p_conn_peer(conn), peer, sizeof(peer));
    json_uint(line, "conn", p2p_conn_id(conn));
    json_string(line, "peer", peer);
    json_string(line, "addr", addr);
    json_string(line, "direction", p2p_conn_outbound(conn) ? "outbound" : "inbound");
    json_string(line, "security", p2p_conn_security(conn));
    json_string(line, "muxer", p2p_conn_muxer(conn));
    json_bool(line, "limited", p2p_conn_limited(conn));
    json_string(line, "protection", protection[p2p_conn_protection(conn)]);
}

void event_connected(struct text *line, p2p_conn *conn)
{
    json_begin(line, "connected");
    json_conn(line, conn);
    json_end(line);
}
