/* p2p perf */
#include "session.h"

#include <p2p/perf.h>

enum {
    BYTES_DEFAULT = 16 << 20, /* each way: a second or so on most networks */
};

struct measuring {
    struct session session; /* first: hooks get it */
    p2p_perf *perf;
    uint64_t upload_bytes, download_bytes;
};

static void add_line(struct text *line, const char *what, uint64_t bytes, uint64_t us)
{
    text_add(line, what);
    text_add_bytes(line, (double)bytes);
    text_addf(line, " in %.3f s", (double)us / 1e6);
    if (us && bytes) {
        text_add(line, ", ");
        text_add_bytes(line, (double)bytes * 1e6 / (double)us);
        text_add(line, "/s");
    }
    text_add(line, "\n");
}

static void show(struct cli *cli, const p2p_perf_result *result)
{
    struct text line = {0};
    if (cli->json) {
        json_begin(&line, "perf");
        json_uint(&line, "upload_bytes", result->upload_bytes);
        json_uint(&line, "download_bytes", result->download_bytes);
        json_decimal(&line, "seconds", result->total_us, 6);
        json_decimal(&line, "upload_seconds", result->upload_us, 6);
        json_decimal(&line, "download_seconds", result->download_us, 6);
        json_end(&line);
        cli_json(cli, &line);
        return;
    }
    add_line(&line, "upload    ", result->upload_bytes, result->upload_us);
    add_line(&line, "download  ", result->download_bytes, result->download_us);
    cli_print(cli, &line);
}

static void on_progress(struct session *session, struct text *status)
{
    struct measuring *self = (struct measuring *)(void *)session;
    p2p_perf_result now;
    if (!self->perf)
        return;
    p2p_perf_progress(self->perf, &now);
    bool down = now.upload_bytes == self->upload_bytes && now.download_bytes > 0;
    uint64_t bytes = down ? now.download_bytes : now.upload_bytes;
    uint64_t us = down ? now.download_us : now.upload_us;
    text_add(status, down ? "download: " : "upload: ");
    text_add_bytes(status, (double)bytes);
    text_add(status, " of ");
    text_add_bytes(status, (double)(down ? self->download_bytes : self->upload_bytes));
    if (us) {
        text_add(status, ", ");
        text_add_bytes(status, (double)bytes * 1e6 / (double)us);
        text_add(status, "/s");
    }
}

static void on_done(void *user, const p2p_perf_result *result, const p2p_error *why)
{
    struct measuring *self = user;
    self->perf = NULL;
    if (self->session.ending)
        return;
    if (why) {
        session_fail(&self->session, why);
        return;
    }
    session_clear_progress(&self->session);
    show(self->session.cli, result);
    session_end(&self->session, EXIT_OK);
}

static void start(struct session *session)
{
    struct measuring *self = (struct measuring *)(void *)session;
    p2p_dial_opts opts = session_dial_opts(session);
    self->perf = p2p_perf_run(session->host, session->target, self->upload_bytes,
                              self->download_bytes, &opts, on_done, self);
    if (!self->perf)
        session_end(session, report(session->cli, P2P_ENOMEM, "out of memory"));
}

int perf_run(struct cli *cli)
{
    struct measuring self = {.session = {.on_progress = on_progress}};
    bool chosen = args_value(&cli->args, OPT_UPLOAD) || args_value(&cli->args, OPT_DOWNLOAD);
    uint64_t fallback = chosen ? 0 : BYTES_DEFAULT;
    int code = args_bytes(cli, OPT_UPLOAD, fallback, &self.upload_bytes);
    if (!code)
        code = args_bytes(cli, OPT_DOWNLOAD, fallback, &self.download_bytes);
    if (!code)
        code = session_open(&self.session, cli, false);
    if (code)
        return code;
    self.session.protocol = P2P_PERF_PROTOCOL;
    session_start(&self.session, start);
    return session_run(&self.session);
}
