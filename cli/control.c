#include "control.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control_path.h"

enum {
    CLIENTS_MAX = 16,    /* commands of one user */
    LINE_MAX_LEN = 4096, /* of a request */
    CLIENT_MS = 30000,   /* for a request to come and for its answer to be taken */
};

struct client {
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_write_t write;
    struct control *control;
    struct client *next;
    int open_handles;
    bool answering, closing, last;
    struct text answer;
    size_t len;
    char line[LINE_MAX_LEN]; /* what came and was not answered */
};

struct control {
    uv_pipe_t listener;
    struct control_place place;
    const struct control_request *requests;
    void *user;
    struct client *clients;
    size_t client_count;
    bool closing, listener_closed;
};

static void free_if_done(struct control *self)
{
    if (self->listener_closed && !self->clients)
        free(self);
}

/* ---- a client's end ---- */

static void on_client_closed(uv_handle_t *handle)
{
    struct client *self = handle->data;
    struct control *control = self->control;
    if (--self->open_handles)
        return;
    struct client **at = &control->clients;
    while (*at != self)
        at = &(*at)->next;
    *at = self->next;
    control->client_count--;
    text_free(&self->answer);
    free(self);
    free_if_done(control);
}

static void client_close(struct client *self)
{
    if (self->closing)
        return;
    self->closing = true;
    uv_close((uv_handle_t *)&self->pipe, on_client_closed);
    uv_close((uv_handle_t *)&self->timer, on_client_closed);
}

static void on_late(uv_timer_t *timer)
{
    client_close(timer->data);
}

/* ---- answers ---- */

static void add_error(struct text *out, int code, const char *message)
{
    json_begin(out, "error");
    json_string(out, "code", p2p_code_name(code));
    json_string(out, "message", message);
    json_end(out);
}

static void add_answer(struct control *self, const char *line, size_t len, struct text *out)
{
    struct json_doc doc;
    const char *why = NULL;
    const char *name = json_parse(&doc, line, len) ? json_text(doc.root, "request") : NULL;
    const struct control_request *request = self->requests;
    while (name && request->name && strcmp(request->name, name) != 0)
        request++;
    if (!name) {
        add_error(out, P2P_EINVAL, "a request is an object like {\"request\":\"peers\"}");
    } else if (!request->name) {
        add_error(out, P2P_ENOTSUP, "this node knows no such request");
    } else if (request->answer(self->user, doc.root, out, &why)) {
        json_begin(out, "end");
        json_string(out, "request", name);
        json_end(out);
    } else {
        add_error(out, P2P_EINVAL, why);
    }
    json_free(&doc);
}

static void work(struct client *self);

static void on_written(uv_write_t *write, int status)
{
    struct client *self = write->data;
    self->answering = false;
    self->answer.len = 0;
    if (status < 0 || self->last)
        client_close(self);
    else
        work(self);
}

/* Nothing more is read until it is taken. */
static void send_answer(struct client *self)
{
    uv_buf_t buf = uv_buf_init(self->answer.data, (unsigned)self->answer.len);
    self->answering = true;
    self->write.data = self;
    uv_read_stop((uv_stream_t *)&self->pipe);
    uv_timer_start(&self->timer, on_late, CLIENT_MS, 0);
    if (uv_write(&self->write, (uv_stream_t *)&self->pipe, &buf, 1, on_written) < 0)
        client_close(self);
}

/* ---- requests ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct client *self = handle->data;
    (void)suggested;
    *buf = uv_buf_init(self->line + self->len, (unsigned)(LINE_MAX_LEN - self->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *self = stream->data;
    (void)buf;
    if (n < 0) {
        client_close(self);
        return;
    }
    self->len += (size_t)n;
    work(self);
}

static void work(struct client *self)
{
    const char *newline = self->len ? memchr(self->line, '\n', self->len) : NULL;
    if (self->closing || self->answering)
        return;
    if (newline) {
        size_t len = (size_t)(newline - self->line);
        add_answer(self->control, self->line, len, &self->answer);
        self->len -= len + 1;
        memmove(self->line, newline + 1, self->len);
        send_answer(self);
    } else if (self->len == LINE_MAX_LEN) {
        add_error(&self->answer, P2P_ETOOBIG, "the request is too long");
        self->last = true;
        send_answer(self);
    } else {
        int rc = uv_read_start((uv_stream_t *)&self->pipe, on_alloc, on_read);
        if (rc < 0 && rc != UV_EALREADY)
            client_close(self);
    }
}

static void on_client(uv_stream_t *listener, int status)
{
    struct control *control = listener->data;
    struct client *self = status == 0 ? calloc(1, sizeof(*self)) : NULL;
    if (!self)
        return; /* no memory: nobody is let in any more */
    self->control = control;
    self->pipe.data = self->timer.data = self;
    self->open_handles = 2;
    (void)uv_pipe_init(listener->loop, &self->pipe, 0);
    (void)uv_timer_init(listener->loop, &self->timer);
    self->next = control->clients;
    control->clients = self;
    control->client_count++;
    int rc = uv_accept(listener, (uv_stream_t *)&self->pipe);
    if (rc < 0 || control->client_count > 2 * CLIENTS_MAX) {
        client_close(self);
        return;
    }
    uv_unref((uv_handle_t *)&self->pipe);
    uv_timer_start(&self->timer, on_late, CLIENT_MS, 0);
    uv_unref((uv_handle_t *)&self->timer);
    if (control->client_count > CLIENTS_MAX) {
        add_error(&self->answer, P2P_ELIMIT, "too many clients of the control socket");
        self->last = true;
        send_answer(self);
        return;
    }
    work(self);
}

/* ---- all of it ---- */

static void on_listener_closed(uv_handle_t *handle)
{
    struct control *self = handle->data;
    self->listener_closed = true;
    free_if_done(self);
}

struct control *control_open(uv_loop_t *loop, const char *path, const char *peer,
                             const struct control_request *requests, void *user, struct text *why)
{
    struct control *self = calloc(1, sizeof(*self));
    if (!self) {
        text_add(why, "out of memory");
        return NULL;
    }
    self->requests = requests;
    self->user = user;
    if (!(path ? control_bind(&self->place, path, why)
               : control_bind_default(&self->place, peer, why))) {
        free(self);
        return NULL;
    }
    (void)uv_pipe_init(loop, &self->listener, 0);
    self->listener.data = self;
    int rc = uv_pipe_open(&self->listener, self->place.fd);
    if (rc < 0)
        close(self->place.fd);
    else
        rc = uv_listen((uv_stream_t *)&self->listener, CLIENTS_MAX, on_client);
    uv_unref((uv_handle_t *)&self->listener);
    if (rc == 0)
        return self;
    text_addf(why, "cannot listen at %s: %s", self->place.path.data, uv_strerror(rc));
    control_close(self);
    return NULL;
}

const char *control_path(const struct control *self)
{
    return self->place.path.data;
}

void control_close(struct control *self)
{
    if (!self || self->closing)
        return;
    self->closing = true;
    control_unbind(&self->place);
    for (struct client *client = self->clients; client; client = client->next)
        client_close(client);
    uv_close((uv_handle_t *)&self->listener, on_listener_closed);
}
