/* p2p version */
#include "config.h"

/* A fact without a value is a feature, one with a value a library. */
static void show_json(struct cli *cli)
{
    struct text line = {0};
    const char *name, *value;
    json_begin(&line, "version");
    json_string(&line, "version", p2p_version());
    json_open(&line, "features", '[');
    for (size_t i = 0; p2p_version_info(i, &name, &value) == 0; i++)
        if (!value)
            json_string(&line, NULL, name);
    json_close(&line, ']');
    json_open(&line, "libraries", '{');
    for (size_t i = 0; p2p_version_info(i, &name, &value) == 0; i++)
        if (value)
            json_string(&line, name, value);
    json_close(&line, '}');
    json_end(&line);
    cli_json(cli, &line);
}

static void show_text(struct cli *cli)
{
    struct text line = {0};
    const char *name, *value;
    text_addf(&line, "p2p %s\nfeatures ", p2p_version());
    for (size_t i = 0; p2p_version_info(i, &name, &value) == 0; i++)
        if (!value)
            text_addf(&line, " %s", name);
    text_add(&line, "\nlibraries");
    for (size_t i = 0; p2p_version_info(i, &name, &value) == 0; i++)
        if (value)
            text_addf(&line, " %s/%s", name, value);
    text_add(&line, "\n");
    cli_print(cli, &line);
}

int version_run(struct cli *cli)
{
    int code = settings_check(cli);
    if (code)
        return code;
    if (cli->json)
        show_json(cli);
    else
        show_text(cli);
    return 0;
}
