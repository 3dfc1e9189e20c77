/* p2p cat */
#include "session.h"

#include "in.h"

#include <string.h>

enum {
    PROTOCOL_MAX = 255, /* bytes; longer ones cannot be registered */
};

struct piping {
    struct session session; /* first: hooks get it */
    p2p_stream *stream;     /* NULL: it has ended */
    struct in *in;          /* once the stream is open */
    bool sent_all;
    uint64_t sent, received;
};

static void finish(struct piping *self, int code)
{
    if (self->in)
        in_close(self->in);
    self->in = NULL;
    session_end(&self->session, code);
}

/* ---- stdin to the stream ---- */

static void end_of_input(struct piping *self, int error)
{
    self->sent_all = true;
    if (!error) {
        p2p_stream_close_write(self->stream);
        return;
    }
    p2p_stream_reset(self->stream, 0);
    finish(self,
           report(self->session.cli, P2P_EFILE, "cannot read standard input: %s", strerror(error)));
}

static void send_more(struct piping *self)
{
    int error;
    while (self->stream && self->in && !self->sent_all) {
        size_t len;
        const char *bytes = in_peek(self->in, &len);
        if (len == 0) {
            if (in_ended(self->in, &error))
                end_of_input(self, error);
            return;
        }
        int64_t taken = p2p_stream_write(self->stream, bytes, len);
        if (taken < 0)
            return; /* on_close says why */
        in_consume(self->in, (size_t)taken);
        self->sent += (uint64_t)taken;
        if ((size_t)taken < len)
            return; /* on_drain goes on */
    }
}

static void on_input(void *user)
{
    send_more(user);
}

static void on_drain(p2p_stream *stream, void *user)
{
    (void)stream;
    send_more(user);
}

/* ---- the stream to stdout ---- */

/* What stdout does not take stays in the stream, and stops the remote. */
static void on_read(p2p_stream *stream, void *user)
{
    struct piping *self = user;
    size_t len, room = out_room(&self->session.cli->out);
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    size_t n = len < room ? len : room;
    if (n == 0 || !out_append(&self->session.cli->out, bytes, n))
        return;
    p2p_stream_consume(stream, n);
    self->received += n;
}

static void on_written(struct session *session)
{
    struct piping *self = (struct piping *)(void *)session;
    if (self->stream)
        p2p_stream_resume(self->stream);
}

/* ---- the stream ---- */

static void on_open(p2p_stream *stream, void *user)
{
    struct piping *self = user;
    if (self->session.ending)
        return;
    p2p_stream_set_memory(stream, INT32_MAX); /* it is all that this connection is for */
    p2p_stream_set_timeout(stream, -1);       /* stdout's reader takes its time */
    self->in = in_open(&self->session.loop, on_input, self);
    if (!self->in) {
        p2p_stream_reset(stream, 0);
        finish(self, report(self->session.cli, P2P_ENOMEM, "cannot read standard input"));
    }
}

static void show_closed(struct piping *self)
{
    struct text line = {0};
    json_begin(&line, "closed");
    json_uint(&line, "sent_bytes", self->sent);
    json_uint(&line, "received_bytes", self->received);
    json_end(&line);
    cli_json(self->session.cli, &line);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct piping *self = user;
    (void)stream;
    self->stream = NULL;
    if (self->session.ending) {
        finish(self, EXIT_OK); /* which is not the exit code any more */
        return;
    }
    if (why) {
        session_fail(&self->session, why);
        finish(self, EXIT_OTHER);
        return;
    }
    if (self->session.cli->json)
        show_closed(self);
    finish(self, EXIT_OK);
}

static const p2p_stream_events events = {
    .size = sizeof(events),
    .on_open = on_open,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_close = on_close,
};

static void on_connected(struct session *session, p2p_conn *conn)
{
    struct text line = {0};
    if (!session->cli->json)
        return;
    event_connected(&line, conn);
    cli_json(session->cli, &line);
}

static void start(struct session *session)
{
    struct piping *self = (struct piping *)(void *)session;
    p2p_dial_opts opts = session_dial_opts(session);
    self->stream =
        p2p_host_open(session->host, session->target, &session->protocol, 1, &opts, &events, self);
    if (!self->stream)
        session_end(session, report(session->cli, P2P_ENOMEM, "out of memory"));
}

int cat_run(struct cli *cli)
{
    struct piping self = {.session = {.on_connected = on_connected, .on_written = on_written}};
    const char *protocol = args_value(&cli->args, OPT_PROTOCOL);
    if (!protocol)
        return report_usage(cli, "cat needs --protocol PROTO");
    if (protocol[0] != '/' || strlen(protocol) > PROTOCOL_MAX)
        return report_usage(cli, "--protocol wants a name such as /p2p/echo/1.0.0, not \"%.300s\"",
                            protocol);
    int code = session_open(&self.session, cli, false);
    if (code)
        return code;
    self.session.protocol = protocol;
    session_start(&self.session, start);
    return session_run(&self.session);
}
