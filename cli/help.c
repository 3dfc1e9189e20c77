/* p2p help, and --help of every command */
#include "config.h"

#include <string.h>

enum {
    OPTION_COLUMN = 26,
    COMMAND_COLUMN = 12,
};

static void pad(struct text *out, size_t from, size_t width)
{
    size_t used = out->len - from;
    do
        text_add(out, " ");
    while (++used < width);
}

static void add_option(struct text *out, const struct option_info *info)
{
    size_t from = out->len;
    text_add(out, "  ");
    if (info->letter)
        text_addf(out, "-%c%s", info->letter, info->name ? ", " : " ");
    if (info->name)
        text_addf(out, "--%s ", info->name);
    text_add(out, info->value ? info->value : "");
    pad(out, from, OPTION_COLUMN);
    text_addf(out, "%s\n", info->help);
}

static void add_command(struct text *out, const char *program, const struct command *command)
{
    uint32_t bits = command->options | OPT_BIT(OPT_SET) | OPT_BIT(OPT_JSON) | OPT_BIT(OPT_HELP);
    text_addf(out, "Usage: %s %s\n\n%s.\n\n", program, command->usage, command->summary);
    for (int id = 0; id < OPT_END; id++)
        if (bits & OPT_BIT(id))
            add_option(out, &option_infos[id]);
    if (command->details)
        text_addf(out, "\n%s", command->details);
}

static void add_overview(struct text *out, const char *program)
{
    text_addf(out, "Usage: %s COMMAND [OPTIONS]\nPeers that find and prove each other: libp2p.\n\n",
              program);
    for (const struct command *c = commands; c->name; c++) {
        size_t from = out->len;
        text_addf(out, "  %s", c->name);
        pad(out, from, COMMAND_COLUMN);
        text_addf(out, "%s\n", c->summary);
    }
    text_addf(out,
              "\n\"%s COMMAND --help\" says more, \"%s help options\" lists what -o sets.\n"
              "A TARGET is a multiaddr with a peer id: /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW...\n",
              program, program);
}

static void add_options(struct text *out)
{
    const p2p_option *option;
    text_add(out, "What -o KEY=VALUE sets, or P2P_KEY=VALUE in the environment, or a line\n"
                  "\"KEY = VALUE\" in the configuration file:\n\n");
    for (size_t i = 0; (option = settings_option(i)); i++) {
        size_t from = out->len;
        text_addf(out, "  %s", option->name);
        pad(out, from, OPTION_COLUMN);
        text_add(out, option->help);
        if (*option->fallback)
            text_addf(out, " (%s)", option->fallback);
        text_add(out, "\n");
    }
}

/* ---- the tables, for what is made of them ---- */

static void json_choices(struct text *out, const char *choices)
{
    json_open(out, "choices", '[');
    for (; choices && *choices; choices += strspn(choices, " ")) {
        char word[32];
        size_t len = strcspn(choices, " ");
        if (len < sizeof(word)) {
            memcpy(word, choices, len);
            word[len] = '\0';
            json_string(out, NULL, word);
        }
        choices += len;
    }
    json_close(out, ']');
}

static void json_command(struct text *out, const struct command *command)
{
    uint32_t bits = command->options | OPT_BIT(OPT_SET) | OPT_BIT(OPT_JSON) | OPT_BIT(OPT_HELP);
    json_begin(out, "command");
    json_string(out, "name", command->name);
    json_string(out, "usage", command->usage);
    json_string(out, "summary", command->summary);
    json_string(out, "argument", command->arg_name);
    json_open(out, "options", '[');
    for (int id = 0; id < OPT_END; id++) {
        const struct option_info *info = &option_infos[id];
        char letter[2] = {info->letter, '\0'};
        if (!(bits & OPT_BIT(id)))
            continue;
        json_open(out, NULL, '{');
        json_string(out, "name", info->name);
        json_string(out, "letter", info->letter ? letter : NULL);
        json_string(out, "value", info->value);
        json_choices(out, info->choices);
        json_string(out, "help", info->help);
        json_close(out, '}');
    }
    json_close(out, ']');
    json_end(out);
}

static void json_tables(struct text *out)
{
    static const char *const kinds[] = {"text", "list", "int", "bytes", "ms", "bool"};
    const p2p_option *option;
    for (const struct command *c = commands; c->name; c++)
        json_command(out, c);
    for (size_t i = 0; (option = settings_option(i)); i++) {
        json_begin(out, "option");
        json_string(out, "name", option->name);
        json_string(out, "kind", kinds[option->kind]);
        json_string(out, "default", option->fallback);
        json_string(out, "help", option->help);
        json_end(out);
    }
    for (const struct exit_info *e = exit_infos; e->text; e++) {
        json_begin(out, "exit");
        json_uint(out, "exit", (uint64_t)e->code);
        json_string(out, "meaning", e->text);
        json_end(out);
    }
}

/* Does the name begin with these words? */
static bool belongs(const char *name, const char *words)
{
    size_t len = strlen(words);
    return strncmp(name, words, len) == 0 && (name[len] == '\0' || name[len] == ' ');
}

void help_add(struct text *out, const char *program, const char *words)
{
    bool any = false;
    for (const struct command *c = commands; *words && c->name; c++) {
        if (!belongs(c->name, words))
            continue;
        text_add(out, any ? "\n" : "");
        add_command(out, program, c);
        any = true;
    }
    if (!any)
        add_overview(out, program);
}

int help_run(struct cli *cli)
{
    struct text words = {0}, out = {0};
    int code = 0;
    for (size_t i = 0; i < cli->args.rest_count; i++)
        text_addf(&words, "%s%s", i ? " " : "", cli->args.rest[i]);
    bool known = words.len == 0 || strcmp(words.data, "options") == 0;
    for (const struct command *c = commands; !known && c->name; c++)
        known = belongs(c->name, words.data);
    if (known && cli->json)
        json_tables(&out);
    else if (words.len && strcmp(words.data, "options") == 0)
        add_options(&out);
    else if (known)
        help_add(&out, cli->program, words.len ? words.data : "");
    else
        code = report_usage(cli, "there is no command \"%s\"", words.data);
    text_free(&words);
    if (!code)
        cli_print(cli, &out);
    return code;
}
