#include "via.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LAST_WORDS_MS = 300, /* between a command's last output and its end */
};

struct via {
    uv_process_t process;
    uv_timer_t patience;
    struct session *session; /* NULL: over */
    p2p_error *why;          /* of the failure that waits to be told */
    int handles;
    bool exited;
    int64_t status;
    int signal;
};

static void on_freed(uv_handle_t *handle)
{
    struct via *self = handle->data;
    if (--self->handles)
        return;
    p2p_error_free(self->why);
    free(self);
}

/* What the command ended with says more than that the connection is gone. */
static void tell_failure(struct via *self)
{
    struct session *session = self->session;
    uv_timer_stop(&self->patience);
    if (self->exited && self->signal)
        session_end(session, report(session->cli, P2P_ECONN,
                                    "--via: the command was killed by signal %d", self->signal));
    else if (self->exited && self->status)
        session_end(session, report(session->cli, P2P_ECONN, "--via: the command ended with %d",
                                    (int)self->status));
    else
        session_fail(session, self->why);
}

static void on_command_end(uv_process_t *process, int64_t status, int signal)
{
    struct via *self = process->data;
    self->exited = true;
    self->status = status;
    self->signal = signal;
    if (self->why && self->session && !self->session->ending)
        tell_failure(self);
}

/* For the command to end after its failure; before that, for the peer to answer. */
static void on_patience(uv_timer_t *timer)
{
    struct via *self = timer->data;
    struct session *session = self->session;
    if (!session || session->ending)
        return;
    if (self->why)
        tell_failure(self);
    else
        session_end(session, report(session->cli, P2P_ETIMEDOUT,
                                    "--via: no peer answered within the time of --timeout"));
}

static void on_connected(void *user, const p2p_error *why)
{
    struct session *session = user;
    struct via *self = session->via;
    if (session->ending)
        return;
    uv_timer_stop(&self->patience);
    if (!why) {
        session->on_start(session);
        return;
    }
    self->why = p2p_error_copy(why);
    if (self->exited || !self->why || why->code == P2P_EPEERID)
        tell_failure(self);
    else
        uv_timer_start(&self->patience, on_patience, LAST_WORDS_MS, 0);
}

static int spawn(struct via *self, const char *command, int fd)
{
    char *args[] = {"/bin/sh", "-c", (char *)(uintptr_t)command, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_INHERIT_FD, .data.fd = fd},
        {.flags = UV_INHERIT_FD, .data.fd = fd},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
    };
    uv_process_options_t options = {
        .file = args[0], .args = args, .stdio_count = 3, .stdio = stdio, .exit_cb = on_command_end};
    self->process.data = self;
    return uv_spawn(&self->session->loop, &self->process, &options);
}

int via_start(struct session *session, const char *command)
{
    struct cli *cli = session->cli;
    p2p_peer_id peer;
    int pair[2];
    if (p2p_peer_id_parse(session->target, &peer) < 0)
        return report_usage(cli, "with --via TARGET is the peer's id, not \"%s\"", session->target);
    struct via *self = calloc(1, sizeof(*self));
    if (!self)
        return report(cli, P2P_ENOMEM, "out of memory");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        free(self);
        return report(cli, P2P_ECONN, "--via: %s", strerror(errno));
    }
    self->session = session;
    self->handles = 2;
    uv_timer_init(&session->loop, &self->patience);
    self->patience.data = self;
    int rc = spawn(self, command, pair[1]);
    session->via = self;
    close(pair[1]);
    if (rc < 0) {
        close(pair[0]);
        return report(cli, P2P_ECONN, "--via: cannot start the command: %s", uv_strerror(rc));
    }
    uv_unref((uv_handle_t *)&self->process);
    if (session->timeout_ms > 0)
        uv_timer_start(&self->patience, on_patience, (uint64_t)session->timeout_ms, 0);
    if (!p2p_host_connect_fds(session->host, pair[0], pair[0], &peer, on_connected, session)) {
        close(pair[0]);
        return report(cli, P2P_ENOMEM, "out of memory");
    }
    return 0;
}

void via_close(struct session *session)
{
    struct via *self = session->via;
    if (!self)
        return;
    session->via = NULL;
    self->session = NULL;
    uv_close((uv_handle_t *)&self->process, on_freed);
    uv_close((uv_handle_t *)&self->patience, on_freed);
}
