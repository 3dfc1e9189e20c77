/* p2p config: what each option is set to, and by whom. What it prints is a configuration file. */
#include "config.h"

static const char *const origins[] = {"default", "file", "environment", "option", "flag"};

/* The node listens on what --listen says by itself. */
static void add_listen(struct cli *cli, struct text *out)
{
    const char *value;
    for (size_t at = 0; (value = args_each(&cli->args, OPT_LISTEN, &at));)
        text_addf(out, "%s%s", out->len ? "," : "", value);
}

static void add_value(const struct settings *self, size_t i, struct text *out)
{
    const p2p_option *option = settings_option(i);
    const char *value = settings_get(self, option->name);
    if (self->settings[i].from == FROM_FLAG && option->kind == P2P_OPTION_LIST)
        if (args_value(&self->cli->args, OPT_LISTEN) && !*value)
            add_listen(self->cli, out);
    if (out->len == 0)
        text_add(out, value ? value : option->fallback);
}

static void show_json(const struct settings *self, size_t i, struct text *out)
{
    const struct setting *setting = &self->settings[i];
    const p2p_option *option = settings_option(i);
    struct text value = {0}, where = {0};
    add_value(self, i, &value);
    settings_add_where(self, i, &where);
    json_begin(out, "option");
    json_string(out, "name", option->name);
    json_string(out, "value", value.data);
    json_string(out, "default", option->fallback);
    json_string(out, "source", origins[setting->from]);
    json_string(out, "where", where.data);
    json_end(out);
    text_free(&value);
    text_free(&where);
}

static void show_text(const struct settings *self, size_t i, struct text *out)
{
    bool is_default = self->settings[i].from == FROM_DEFAULT;
    struct text value = {0}, where = {0};
    add_value(self, i, &value);
    settings_add_where(self, i, &where);
    if (!is_default) {
        text_add(out, "# from ");
        text_add_safe(out, where.data);
        text_add(out, "\n");
    }
    text_addf(out, "%s%s =%s", is_default ? "#" : "", settings_option(i)->name,
              value.len ? " " : "");
    text_add_safe(out, value.data);
    text_add(out, "\n");
    text_free(&value);
    text_free(&where);
}

int config_run(struct cli *cli)
{
    struct settings self;
    struct text out = {0};
    int code = settings_open(&self, cli, true);
    if (code)
        return code;
    for (size_t i = 0; settings_option(i); i++) {
        if (cli->json)
            show_json(&self, i, &out);
        else
            show_text(&self, i, &out);
    }
    settings_close(&self);
    cli_print(cli, &out);
    return EXIT_OK;
}
