/* p2p: the commands, and how a run begins and ends. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DIALING                                                                                    \
    (OPT_BIT(OPT_KEY) | OPT_BIT(OPT_SECURITY) | OPT_BIT(OPT_MUXER) | OPT_BIT(OPT_PSK) |            \
     OPT_BIT(OPT_TIMEOUT) | OPT_BIT(OPT_CONFIG) | OPT_BIT(OPT_VIA))
#define SERVING                                                                                    \
    ((DIALING & ~OPT_BIT(OPT_TIMEOUT) & ~OPT_BIT(OPT_VIA)) | OPT_BIT(OPT_LISTEN) |                 \
     OPT_BIT(OPT_CONTROL))
#define ASKING (OPT_BIT(OPT_CONTROL) | OPT_BIT(OPT_TIMEOUT) | OPT_BIT(OPT_CONFIG))

const struct command commands[] = {
    {"node", "node [OPTIONS]", "Serve identify, ping, perf and echo until interrupted",
     "Without --listen (and without --stdio): on every interface, at a port that is free.\n",
     SERVING | OPT_BIT(OPT_STDIO), 0, 0, NULL, node_run},
    {"ping", "ping TARGET [OPTIONS]", "Measure round trips to a peer",
     "Exit code 28 if nothing came back.\n", DIALING | OPT_BIT(OPT_COUNT) | OPT_BIT(OPT_INTERVAL),
     1, 1, "TARGET", ping_run},
    {"identify", "identify TARGET [OPTIONS]", "Ask a peer what it is", NULL, DIALING, 1, 1,
     "TARGET", identify_run},
    {"perf", "perf TARGET [OPTIONS]", "Measure how fast bytes move to and from a peer",
     "Without --upload and --download: 16 MiB each way.\n",
     DIALING | OPT_BIT(OPT_UPLOAD) | OPT_BIT(OPT_DOWNLOAD), 1, 1, "TARGET", perf_run},
    {"cat", "cat TARGET --protocol PROTO [OPTIONS]",
     "A stream as a pipe: standard input to the peer, what it sends to standard output",
     "Ends when both sides have ended. With --json its events go to standard error.\n",
     DIALING | OPT_BIT(OPT_PROTOCOL), 1, 1, "TARGET", cat_run},
    {"peers", "peers [OPTIONS]", "Show whom the running node is connected with", NULL,
     ASKING | OPT_BIT(OPT_KNOWN), 0, 0, NULL, peers_run},
    {"addrs", "addrs [OPTIONS]", "Show the addresses of the running node", NULL, ASKING, 0, 0, NULL,
     addrs_run},
    {"key gen", "key gen [OPTIONS]", "Make an identity, in a new file",
     "The file is never overwritten.\n", OPT_BIT(OPT_TYPE) | OPT_BIT(OPT_OUT), 0, 0, NULL,
     key_gen_run},
    {"key show", "key show FILE [OPTIONS]", "Show whose key a file holds",
     "Reads libp2p's protobuf, base64 of it, kubo's config and PEM PKCS#8; - is standard input.\n",
     0, 1, 1, "FILE", key_show_run},
    {"config", "config [OPTIONS]", "Show what a node would be configured with, and by whom",
     "Takes what node takes. What it prints can be kept as a configuration file.\n", SERVING, 0, 0,
     NULL, config_run},
    {"version", "version [OPTIONS]", "The version, what is built in, libraries", NULL, 0, 0, 0,
     NULL, version_run},
    {"help", "help [COMMAND | options]", "Explain a command", NULL, 0, 0, 2, NULL, help_run},
    {NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
};

const struct command *command_find(const char *const *words, int count, int *used)
{
    for (const struct command *c = commands; c->name; c++) {
        const char *second = strchr(c->name, ' ');
        size_t first_len = second ? (size_t)(second - c->name) : strlen(c->name);
        if (strlen(words[0]) != first_len || memcmp(words[0], c->name, first_len) != 0)
            continue;
        if (second && (count < 2 || strcmp(words[1], second + 1) != 0))
            continue;
        *used = second ? 2 : 1;
        return c;
    }
    return NULL;
}

/* A descriptor that is closed would be given to the next socket, and then written to. */
static void guard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY); /* fails as a closed one does */
}

static int help(struct cli *cli, const char *words)
{
    struct text out = {0};
    help_add(&out, cli->program, words);
    cli_print(cli, &out);
    return EXIT_OK;
}

static int run(struct cli *cli, int argc, char **argv)
{
    const char *named = argc > 1 && argv[1] ? argv[1] : "";
    int code = args_parse(cli, argc, argv);
    if (code)
        return code;
    if (args_value(&cli->args, OPT_HELP))
        return help(cli, cli->args.command ? cli->args.command->name : named);
    if (cli->args.command)
        return cli->args.command->run(cli);
    if (cli->args.rest_count || cli->json)
        return report_usage(cli, "say what to do: p2p COMMAND");
    struct text overview = {0};
    help_add(&overview, cli->program, "");
    fputs(overview.data, stderr);
    text_free(&overview);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct cli cli = {.program = argc > 0 && argv[0] ? argv[0] : "p2p"};
    guard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    out_init(&cli.out);
    int code = run(&cli, argc, argv);
    if (!cli.hurried) {
        out_flush(&cli.out, -1);
        int error = out_error(&cli.out);
        if (code == EXIT_OK && error && !out_closed(&cli.out))
            code = report(&cli, P2P_EWRITE, "cannot write to standard output: %s", strerror(error));
    }
    if (!out_fini(&cli.out))
        _exit(code);
    args_free(&cli.args);
    return code;
}
