#include "ask.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "control_path.h"

enum {
    DEFAULT_MS = 10000,
    RETRY_MS = 20,
    LINE_MAX_LEN = 1 << 20, /* of an answer: a peer with all its addresses is far shorter */
};

struct asking {
    struct cli *cli;
    void (*show)(const struct json_value *object, struct text *out);
    struct text path, line;
    int fd;
    int64_t deadline_ms;
};

/* ---- which node ---- */

struct found {
    struct text paths;
    size_t count;
};

static void on_found(void *user, const char *path)
{
    struct found *self = user;
    text_addf(&self->paths, "%s%s", self->count++ ? ", " : "", path);
}

static int only_node(struct cli *cli, struct text *path)
{
    struct text folder = {0}, why = {0};
    struct found found = {.count = 0};
    int code = 0;
    if (control_folder(&folder, false, &why))
        control_each(folder.data, on_found, &found);
    if (found.count == 1)
        text_add(path, found.paths.data);
    else if (found.count)
        code = report_usage(cli, "%zu nodes run here, choose one with --control: %s", found.count,
                            found.paths.data);
    else if (why.len)
        code = report(cli, P2P_ECONN, "no node runs here: %s", why.data);
    else
        code = report(cli, P2P_ECONN, "no node runs here: none listens in %s", folder.data);
    text_free(&folder);
    text_free(&why);
    text_free(&found.paths);
    return code;
}

static int find_node(struct cli *cli, struct text *path)
{
    struct settings settings;
    int code = settings_open(&settings, cli, false);
    if (code)
        return code;
    const char *control = settings_get(&settings, "control");
    if (control && !*control)
        code = report_usage(cli, "the control socket is turned off");
    else if (control)
        text_add(path, control);
    else
        code = only_node(cli, path);
    settings_close(&settings);
    return code;
}

/* ---- the connection ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int late(struct asking *self)
{
    return report(self->cli, P2P_ETIMEDOUT, "the node at %s does not answer", self->path.data);
}

/* 0, or the exit code. */
static int wait_for(struct asking *self, short events)
{
    struct pollfd poll_fd = {.fd = self->fd, .events = events};
    int rc;
    do {
        int64_t left_ms = self->deadline_ms - now_ms();
        rc = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);
    } while (rc < 0 && errno == EINTR);
    if (rc > 0)
        return 0;
    return late(self);
}

static int lost(struct asking *self, const char *why)
{
    return report(self->cli, P2P_ECLOSED, "the node at %s went away: %s", self->path.data, why);
}

static int no_node(struct asking *self)
{
    struct text message = {0};
    text_addf(&message, "what listens at %s is no node", self->path.data);
    const p2p_error why = {.size = sizeof(why), .code = P2P_EPROTO, .message = message.data};
    int code = report_error(self->cli, &why, true);
    text_free(&message);
    return code;
}

/* A node whose queue of clients is full is waited for. */
static int connect_to(struct asking *self)
{
    while ((self->fd = control_connect(self->path.data)) < 0) {
        if (errno != EAGAIN)
            return report(self->cli, P2P_ECONN, "no node listens at %s: %s", self->path.data,
                          strerror(errno));
        if (now_ms() >= self->deadline_ms)
            return late(self);
        poll(NULL, 0, RETRY_MS);
    }
    return 0;
}

/* A node that closes early may have said why: then the answer is read all the same. */
static int send_all(struct asking *self, const char *bytes, size_t len)
{
    int code = 0;
    while (len && !code) {
        ssize_t n = send(self->fd, bytes, len, MSG_NOSIGNAL);
        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN || errno == EINTR) {
            code = wait_for(self, POLLOUT);
        } else {
            break;
        }
    }
    return code;
}

static int send_line(struct asking *self, const char *request)
{
    struct text line = {0};
    text_addf(&line, "%s\n", request);
    int code = send_all(self, line.data, line.len);
    text_free(&line);
    return code;
}

/* ---- the answer ---- */

static int code_of(const char *name)
{
    for (int code = -1; strcmp(p2p_code_name(code), "EUNKNOWN") != 0; code--)
        if (name && strcmp(p2p_code_name(code), name) == 0)
            return code;
    return P2P_EINTERNAL;
}

static int show_line(struct asking *self, const char *line, size_t len, bool *ended)
{
    struct json_doc doc;
    struct text out = {0};
    int code = 0;
    const char *event = json_parse(&doc, line, len) ? json_text(doc.root, "event") : NULL;
    if (!event) {
        code = no_node(self);
    } else if (strcmp(event, "error") == 0) {
        const char *message = json_text(doc.root, "message");
        code = report(self->cli, code_of(json_text(doc.root, "code")), "the node at %s says: %s",
                      self->path.data, message ? message : "no");
    } else if (strcmp(event, "end") == 0) {
        *ended = true;
    } else if (self->cli->json) {
        text_add_n(&out, line, len);
        text_add(&out, "\n");
    } else {
        self->show(doc.root, &out);
    }
    json_free(&doc);
    if (out.len)
        cli_print(self->cli, &out);
    text_free(&out);
    return code;
}

static int show_lines(struct asking *self, bool *ended)
{
    char *newline;
    int code = 0;
    size_t done = 0;
    while (!code && !*ended && self->line.len > done &&
           (newline = memchr(self->line.data + done, '\n', self->line.len - done))) {
        size_t len = (size_t)(newline - self->line.data) - done;
        code = show_line(self, self->line.data + done, len, ended);
        done += len + 1;
    }
    if (done) {
        memmove(self->line.data, self->line.data + done, self->line.len - done);
        self->line.len -= done;
    }
    if (!code && self->line.len > LINE_MAX_LEN)
        code = no_node(self);
    return code;
}

static int receive(struct asking *self)
{
    bool ended = false;
    int code = 0;
    while (!code && !ended) {
        char bytes[16384];
        ssize_t n = recv(self->fd, bytes, sizeof(bytes), 0);
        if (n > 0) {
            text_add_n(&self->line, bytes, (size_t)n);
            code = show_lines(self, &ended);
        } else if (n == 0) {
            code = lost(self, "it closed the connection");
        } else {
            code = errno == EAGAIN || errno == EINTR ? wait_for(self, POLLIN)
                                                     : lost(self, strerror(errno));
        }
    }
    return code;
}

int ask(struct cli *cli, const char *request,
        void (*show)(const struct json_value *object, struct text *out))
{
    struct asking self = {.cli = cli, .show = show, .fd = -1};
    int timeout_ms, code = args_ms(cli, OPT_TIMEOUT, 1, DEFAULT_MS, &timeout_ms);
    if (!code)
        code = find_node(cli, &self.path);
    if (code) {
        text_free(&self.path);
        return code;
    }
    self.deadline_ms = now_ms() + timeout_ms;
    code = connect_to(&self);
    if (!code)
        code = send_line(&self, request);
    if (!code)
        code = receive(&self);
    if (self.fd >= 0)
        close(self.fd);
    text_free(&self.path);
    text_free(&self.line);
    return code;
}
