#include "cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct exit_info exit_infos[] = {
    {EXIT_OK, "success, and a standard output that was closed"},
    {EXIT_OTHER, "other errors"},
    {EXIT_USAGE, "usage"},
    {EXIT_ADDRESS, "malformed address or peer id"},
    {EXIT_UNSUPPORTED, "not built in, or not possible with these options"},
    {EXIT_RESOLVE, "cannot resolve"},
    {EXIT_CONNECT, "cannot connect"},
    {EXIT_READ, "cannot read a file"},
    {EXIT_TIMEOUT, "timeout"},
    {EXIT_HANDSHAKE, "handshake failed"},
    {EXIT_WRITE, "file exists or cannot be written"},
    {EXIT_LISTEN, "cannot listen"},
    {EXIT_SEND, "sending failed"},
    {EXIT_RESET, "stream reset, or the connection was lost"},
    {EXIT_PEER, "the peer proved another id"},
    {EXIT_SIGNALED + SIGINT, "interrupted (SIGINT); a node exits with 0"},
    {EXIT_SIGNALED + SIGTERM, "terminated (SIGTERM); a node exits with 0"},
    {0, NULL},
};

int exit_of(int p2p_code, bool connected)
{
    switch (p2p_code) {
    case P2P_OK:
        return EXIT_OK;
    case P2P_EINVAL:
    case P2P_ENOENT:
        return EXIT_USAGE;
    case P2P_EADDR:
    case P2P_EPEER:
        return EXIT_ADDRESS;
    case P2P_ENOTSUP:
        return EXIT_UNSUPPORTED;
    case P2P_ERESOLVE:
        return EXIT_RESOLVE;
    case P2P_ECONN:
    case P2P_ENOADDR:
        return connected ? EXIT_RESET : EXIT_CONNECT;
    case P2P_EFILE:
    case P2P_EKEY:
        return EXIT_READ;
    case P2P_ETIMEDOUT:
        return EXIT_TIMEOUT;
    case P2P_EPROTO:
        return connected ? EXIT_OTHER : EXIT_HANDSHAKE;
    case P2P_EHANDSHAKE:
    case P2P_ENOSECURITY:
    case P2P_ENOMUXER:
        return EXIT_HANDSHAKE;
    case P2P_EEXIST:
    case P2P_EWRITE:
        return EXIT_WRITE;
    case P2P_ELISTEN:
        return EXIT_LISTEN;
    case P2P_ESEND:
        return EXIT_SEND;
    case P2P_ERESET:
    case P2P_ECLOSED:
    case P2P_ETRUNCATED:
        return EXIT_RESET;
    case P2P_EPEERID:
        return EXIT_PEER;
    default:
        return EXIT_OTHER;
    }
}

void cli_json(struct cli *cli, struct text *line)
{
    if (cli->stream_on_stdout)
        fwrite(line->data, 1, line->len, stderr);
    else
        out_append(&cli->out, line->data, line->len);
    text_free(line);
}

void cli_print(struct cli *cli, struct text *line)
{
    out_append(&cli->out, line->data, line->len);
    text_free(line);
}

/* Every address that the sentence does not name already. */
static void add_attempts(struct text *line, const p2p_error *why)
{
    const char *before = " (";
    for (size_t i = 0; i < why->attempt_count; i++) {
        if (why->attempt_count == 1 && strstr(why->message, why->attempts[i].addr))
            return;
        text_add(line, before);
        text_add_safe(line, why->attempts[i].addr);
        text_add(line, ": ");
        text_add_safe(line, why->attempts[i].error);
        before = "; ";
    }
    text_add(line, why->attempt_count ? ")" : "");
}

static void tell_program(struct cli *cli, const p2p_error *why, int exit_code)
{
    struct text line = {0};
    json_begin(&line, "error");
    json_string(&line, "code", p2p_code_name(why->code));
    json_uint(&line, "exit", (uint64_t)exit_code);
    json_string(&line, "message", why->message);
    json_open(&line, "attempts", '[');
    for (size_t i = 0; i < why->attempt_count; i++) {
        json_open(&line, NULL, '{');
        json_string(&line, "addr", why->attempts[i].addr);
        json_string(&line, "error", why->attempts[i].error);
        json_close(&line, '}');
    }
    json_close(&line, ']');
    json_end(&line);
    cli_json(cli, &line);
}

int report_error(struct cli *cli, const p2p_error *why, bool connected)
{
    struct text line = {0};
    int code = exit_of(why->code, connected);
    text_add(&line, "p2p: ");
    text_add_safe(&line, why->message);
    add_attempts(&line, why);
    text_add(&line, "\n");
    fwrite(line.data, 1, line.len, stderr);
    text_free(&line);
    if (cli->json)
        tell_program(cli, why, code);
    return code;
}

static int report_text(struct cli *cli, int p2p_code, const char *message)
{
    const p2p_error why = {.size = sizeof(why), .code = p2p_code, .message = message};
    return report_error(cli, &why, false);
}

int report(struct cli *cli, int p2p_code, const char *format, ...)
{
    char message[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return report_text(cli, p2p_code, message);
}

int report_usage(struct cli *cli, const char *format, ...)
{
    char message[1024], whole[1100];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    const char *name = cli->args.command ? cli->args.command->name : NULL;
    snprintf(whole, sizeof(whole), "%s; see p2p %s%s--help", message, name ? name : "",
             name ? " " : "");
    return report_text(cli, P2P_EINVAL, whole);
}
