/* p2p node */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <p2p/limits.h>

#include "node_control.h"

struct node {
    struct session session;  /* first: hooks get it */
    struct control *control; /* or NULL */
    size_t told, expected;   /* addresses */
    bool ready;
    bool dropping; /* said that nobody reads stdout */
    int in, out;   /* --stdio: what standard input and output were; -1: none */
    p2p_conn *over_stdio;
};

/* ---- what it shows ---- */

static void show(struct node *self, struct text *line)
{
    struct cli *cli = self->session.cli;
    bool taken = out_append(&cli->out, line->data, line->len);
    text_free(line);
    if (!taken && !self->dropping && !out_error(&cli->out))
        fputs("p2p: nobody reads standard output: events are dropped\n", stderr);
    self->dropping = !taken;
}

/* For the shell of the user, who may have called us by a path with spaces. */
static void add_word(struct text *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./:,@%";
    if (*word && word[strspn(word, plain)] == '\0') {
        text_add(line, word);
        return;
    }
    text_add(line, "'");
    for (; *word; word++)
        text_add_n(line, *word == '\'' ? "'\\''" : word, *word == '\'' ? 4 : 1);
    text_add(line, "'");
}

/* The address that works from the next terminal. */
static bool best_addr(const p2p_host *host, char *out, size_t cap)
{
    p2p_multiaddr addr;
    bool any = false;
    char text[P2P_MULTIADDR_TEXT_MAX];
    for (size_t i = 0; p2p_host_addr(host, i, &addr) == 0; i++) {
        (void)p2p_multiaddr_format(&addr, text, sizeof(text));
        bool loopback = strncmp(text, "/ip4/127.", 9) == 0;
        if (!any || loopback)
            snprintf(out, cap, "%s", text);
        any = true;
        if (loopback)
            break;
    }
    return any;
}

static void show_ready(struct node *self)
{
    struct session *session = &self->session;
    struct text line = {0};
    char peer[P2P_PEER_ID_TEXT_MAX], addr[P2P_MULTIADDR_TEXT_MAX];
    (void)p2p_peer_id_format(p2p_host_peer(session->host), peer, sizeof(peer));
    if (session->cli->json) {
        json_begin(&line, "ready");
        json_string(&line, "peer", peer);
        json_end(&line);
    } else {
        text_addf(&line, "ready: %s\n", peer);
        if (best_addr(session->host, addr, sizeof(addr))) {
            text_add(&line, "\nFrom a second terminal:\n  ");
            add_word(&line, session->cli->program);
            text_add(&line, " ping ");
            add_word(&line, addr);
            text_add(&line, "\n\n");
        }
    }
    show(self, &line);
}

static void show_addr(struct node *self, const char *event, const char *words,
                      const p2p_multiaddr *addr)
{
    struct text line = {0};
    char text[P2P_MULTIADDR_TEXT_MAX];
    (void)p2p_multiaddr_format(addr, text, sizeof(text));
    if (self->session.cli->json) {
        json_begin(&line, event);
        json_string(&line, "addr", text);
        json_end(&line);
    } else {
        text_addf(&line, "%s %s\n", words, text);
    }
    show(self, &line);
}

/* ---- events ---- */

static void on_listening(p2p_host *host, const p2p_multiaddr *addr, void *user)
{
    struct node *self = user;
    (void)host;
    show_addr(self, "listening", "listening on", addr);
    self->told++;
    if (!self->ready && self->told >= self->expected) {
        self->ready = true;
        show_ready(self);
    }
}

static void on_unlistening(p2p_host *host, const p2p_multiaddr *addr, void *user)
{
    (void)host;
    show_addr(user, "unlistening", "no longer listening on", addr);
}

static void conn_text(p2p_conn *conn, char *peer, size_t peer_cap, char *addr, size_t addr_cap)
{
    p2p_multiaddr remote;
    p2p_conn_remote_addr(conn, &remote);
    (void)p2p_multiaddr_format(&remote, addr, addr_cap);
    (void)p2p_peer_id_format(p2p_conn_peer(conn), peer, peer_cap);
}

static void on_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    struct node *self = user;
    struct text line = {0};
    char peer[P2P_PEER_ID_TEXT_MAX], addr[P2P_MULTIADDR_TEXT_MAX];
    (void)host;
    if (self->session.cli->json) {
        event_connected(&line, conn);
    } else {
        static const char *const clear[] = {" IN THE CLEAR AND UNPROVEN", " IN THE CLEAR", ""};
        const char *muxer = p2p_conn_muxer(conn);
        conn_text(conn, peer, sizeof(peer), addr, sizeof(addr));
        text_addf(&line, "%llu connected: %s %s %s (%s%s%s%s)\n",
                  (unsigned long long)p2p_conn_id(conn), peer,
                  p2p_conn_outbound(conn) ? "at" : "from", addr, p2p_conn_security(conn),
                  clear[p2p_conn_protection(conn)], muxer ? ", " : "", muxer ? muxer : "");
    }
    show(self, &line);
}

/* The peer on standard input and output is gone, and with it what the node is for. */
static void end_stdio(struct node *self, const p2p_error *why)
{
    if (!why || why->code == P2P_ECLOSED || why->code == P2P_ECANCELED)
        session_end(&self->session, EXIT_OK);
    else
        session_fail(&self->session, why);
}

static void on_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    struct node *self = user;
    struct text line = {0};
    char peer[P2P_PEER_ID_TEXT_MAX], addr[P2P_MULTIADDR_TEXT_MAX];
    (void)host;
    if (conn == self->over_stdio)
        end_stdio(self, why);
    conn_text(conn, peer, sizeof(peer), addr, sizeof(addr));
    if (self->session.cli->json) {
        json_begin(&line, "disconnected");
        json_uint(&line, "conn", p2p_conn_id(conn));
        json_string(&line, "peer", peer);
        json_string(&line, "addr", addr);
        json_string(&line, "reason", p2p_code_name(why->code));
        json_string(&line, "detail", why->message);
        json_end(&line);
    } else {
        text_addf(&line, "%llu disconnected: %s: ", (unsigned long long)p2p_conn_id(conn), peer);
        text_add_safe(&line, why->message);
        text_add(&line, "\n");
    }
    show(self, &line);
}

static void on_limit(p2p_host *host, const p2p_error *why, void *user)
{
    struct node *self = user;
    struct text line = {0};
    uint64_t count = p2p_host_refusals(host, why->limit);
    if (self->session.cli->json) {
        json_begin(&line, "limit");
        json_string(&line, "limit", why->limit);
        json_uint(&line, "refusals", count);
        json_string(&line, "detail", why->message);
        json_end(&line);
    } else {
        text_add(&line, "refused: ");
        text_add_safe(&line, why->message);
        text_addf(&line, " (%s, %llu so far)\n", why->limit, (unsigned long long)count);
    }
    show(self, &line);
}

static void on_log(p2p_host *host, p2p_log_level level, const char *noun, const char *text,
                   void *user)
{
    static const char *const levels[] = {"", "error", "warn", "info", "debug"};
    char when[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    (void)host;
    (void)user;
    if (gmtime_r(&now, &utc))
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
    fprintf(stderr, "%s %s %s: %s\n", when, levels[level], noun, text);
}

static void on_hangup(struct session *session)
{
    p2p_error *err = NULL;
    if (p2p_host_reload(session->host, &err) == 0)
        fputs("p2p: read the certificates again\n", stderr);
    else if (err)
        session_on_warning(session->host, err, session);
    p2p_error_free(err);
}

static const p2p_host_events events = {
    .size = sizeof(events),
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
    .on_listening = on_listening,
    .on_unlistening = on_unlistening,
    .on_limit = on_limit,
    .on_warning = session_on_warning,
    .on_log = on_log,
};

/* ---- listening ---- */

static int listen_on(struct node *self, const char *text)
{
    struct cli *cli = self->session.cli;
    char why[512];
    p2p_multiaddr addr;
    p2p_error *err = NULL;
    int rc = p2p_multiaddr_parse_why(text, &addr, why, sizeof(why));
    if (rc < 0)
        return report(cli, rc, "--listen %s: %s", text, why);
    rc = p2p_host_listen(self->session.host, &addr, &err);
    if (rc == 0)
        return 0;
    int code =
        err ? report_error(cli, err, false) : report(cli, rc, "%s: %s", text, p2p_code_text(rc));
    p2p_error_free(err);
    return code;
}

/* Not every machine has both families, nor every build each transport, nor can each carry a private
 * network: one is enough when nobody asked for it. */
static int listen_anywhere(struct node *self)
{
    static const char *const everywhere[] = {"/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0",
                                             "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1"};
    p2p_error *first = NULL;
    size_t bound = 0;
    for (size_t i = 0; i < sizeof(everywhere) / sizeof(*everywhere); i++) {
        p2p_multiaddr addr;
        p2p_error *err = NULL;
        int rc = p2p_multiaddr_parse(everywhere[i], &addr);
        if (rc == 0)
            rc = p2p_host_listen(self->session.host, &addr, &err);
        bound += rc == 0;
        if (first)
            p2p_error_free(err);
        else
            first = err;
    }
    int code = bound   ? 0
               : first ? report_error(self->session.cli, first, false)
                       : report(self->session.cli, P2P_ENOMEM, "out of memory");
    p2p_error_free(first);
    return code;
}

static int listen_all(struct node *self)
{
    struct cli *cli = self->session.cli;
    const char *text;
    int code = 0;
    if (!settings_given(&self->session.settings, "listen"))
        return listen_anywhere(self);
    for (size_t at = 0; !code && (text = args_each(&cli->args, OPT_LISTEN, &at));)
        code = listen_on(self, text);
    return code;
}

/* ---- --stdio ---- */

/* Before anything is printed: what would have gone there goes to standard error. */
static int take_stdio(struct node *self)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    self->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    self->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return null < 0 || self->in < 0 || self->out < 0 || dup2(null, STDIN_FILENO) < 0 ||
                   dup2(STDERR_FILENO, STDOUT_FILENO) < 0
               ? -1
               : close(null);
}

static void on_stdio(void *user, const p2p_error *why)
{
    struct node *self = user;
    p2p_conn *conn;
    p2p_multiaddr addr;
    for (size_t i = 0; !why && (conn = p2p_host_conn_at(self->session.host, i)); i++) {
        p2p_conn_remote_addr(conn, &addr);
        if (addr.len == 0)
            self->over_stdio = conn;
    }
    if (!self->over_stdio)
        end_stdio(self, why);
}

/* ---- the control socket ---- */

static void on_end(struct session *session)
{
    struct node *self = (struct node *)session;
    control_close(self->control);
    self->control = NULL;
}

/* Nobody asked for the usual one, so that a node runs without it too. */
static int open_control(struct node *self)
{
    struct session *session = &self->session;
    const char *path = settings_get(&session->settings, "control");
    char peer[P2P_PEER_ID_TEXT_MAX];
    struct text why = {0};
    int code = 0;
    if (path && !*path)
        return 0;
    (void)p2p_peer_id_format(p2p_host_peer(session->host), peer, sizeof(peer));
    self->control = control_open(&session->loop, path, peer, node_requests, session->host, &why);
    if (!self->control && path)
        code = report(session->cli, P2P_ELISTEN, "--control: %s", why.data);
    else if (!self->control)
        fprintf(stderr, "p2p: no control socket: %s\n", why.data);
    session->on_end = on_end;
    text_free(&why);
    return code;
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int node_run(struct cli *cli)
{
    struct node self = {.ready = false};
    p2p_multiaddr addr;
    bool stdio = args_value(&cli->args, OPT_STDIO) != NULL;
    raise_descriptors();
    if (stdio && take_stdio(&self) < 0)
        return report(cli, P2P_ECONN, "--stdio: %s", strerror(errno));
    int code = session_open(&self.session, cli, true);
    if (code)
        return code;
    if (!stdio || settings_given(&self.session.settings, "listen"))
        code = listen_all(&self);
    if (!code)
        code = open_control(&self);
    if (code) {
        session_end(&self.session, code);
        return session_run(&self.session);
    }
    p2p_host_set_events(self.session.host, &events, &self);
    session_catch_hangup(&self.session, on_hangup);
    if (stdio && !p2p_host_accept_fds(self.session.host, self.in, self.out, on_stdio, &self))
        session_end(&self.session, report(cli, P2P_ENOMEM, "out of memory"));
    while (p2p_host_addr(self.session.host, self.expected, &addr) == 0)
        self.expected++;
    if (self.expected == 0) {
        self.ready = true;
        show_ready(&self);
    }
    return session_run(&self.session);
}
