/* p2p key gen, p2p key show */
#include "config.h"
#include "paths.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WHY_MAX = 512,
};

static void show(struct cli *cli, const p2p_key *key, const char *file)
{
    char peer[P2P_PEER_ID_TEXT_MAX], cid[P2P_PEER_ID_TEXT_MAX];
    const char *type = p2p_key_type_name(p2p_key_type(key));
    struct text line = {0};
    (void)p2p_peer_id_format(p2p_key_peer_id(key), peer, sizeof(peer));
    (void)p2p_peer_id_format_cid(p2p_key_peer_id(key), cid, sizeof(cid));
    if (cli->json) {
        json_begin(&line, "key");
        json_string(&line, "type", type);
        json_string(&line, "peer", peer);
        json_string(&line, "cid", cid);
        if (file)
            json_string(&line, "file", file);
        json_end(&line);
        cli_json(cli, &line);
        return;
    }
    text_addf(&line, "type  %s\npeer  %s\ncid   %s\n", type, peer, cid);
    if (file) {
        text_add(&line, "file  ");
        text_add_safe(&line, file);
        text_add(&line, "\n");
    }
    cli_print(cli, &line);
}

/* ---- gen ---- */

/* Every folder above the file, as private as what will lie in it. */
static int make_folders(struct cli *cli, char *path)
{
    assert(path);
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        int failed = mkdir(path, S_IRWXU) < 0 && errno != EEXIST && errno != EISDIR ? errno : 0;
        if (failed) {
            int code = report(cli, P2P_EWRITE, "cannot make %s: %s", path, strerror(failed));
            *slash = '/';
            return code;
        }
        *slash = '/';
    }
    return 0;
}

int key_gen_run(struct cli *cli)
{
    char why[WHY_MAX];
    const char *type_name = args_value(&cli->args, OPT_TYPE);
    const char *file = args_value(&cli->args, OPT_OUT);
    int type = type_name ? p2p_key_type_parse(type_name) : P2P_KEY_ED25519;
    struct text path = {0};
    if (type < 0)
        return report_usage(cli, "-t wants one of: %s; not \"%s\"", option_infos[OPT_TYPE].choices,
                            type_name);
    if (file && !*file)
        return report_usage(cli, "--out wants the name of a file");
    int code = settings_check(cli);
    if (!code && file)
        text_add(&path, file);
    else if (!code && !path_config(&path, "identity.key"))
        code = report(cli, P2P_EWRITE,
                      "there is no home directory to keep the key in; say --out FILE");
    if (!code && !file)
        code = make_folders(cli, path.data);
    p2p_key *key = NULL;
    int rc = code ? 0 : p2p_key_generate(type, &key);
    if (rc < 0)
        code = report(cli, rc, "cannot make a key: %s", p2p_code_text(rc));
    if (!code) {
        rc = p2p_key_save(key, path.data, why, sizeof(why));
        if (rc < 0)
            code = report(cli, rc, "cannot write the key: %s", why);
        else
            show(cli, key, path.data);
    }
    p2p_key_free(key);
    text_free(&path);
    return code;
}

/* ---- show ---- */

static int decode_stdin(p2p_key **out, char *why, size_t why_cap)
{
    char *bytes = calloc(1, P2P_KEY_FILE_MAX + 1);
    size_t len = bytes ? fread(bytes, 1, P2P_KEY_FILE_MAX + 1, stdin) : 0;
    int rc = P2P_ENOMEM;
    if (bytes && ferror(stdin)) {
        rc = P2P_EFILE;
        snprintf(why, why_cap, "standard input: %s", strerror(errno));
    } else if (bytes) {
        char said[WHY_MAX - 32];
        rc = p2p_key_decode_file((const uint8_t *)bytes, len, out, said, sizeof(said));
        snprintf(why, why_cap, "standard input: %s", said);
    }
    if (bytes)
        explicit_bzero(bytes, P2P_KEY_FILE_MAX + 1);
    free(bytes);
    return rc;
}

int key_show_run(struct cli *cli)
{
    char why[WHY_MAX] = "out of memory";
    const char *file = cli->args.rest[0];
    p2p_key *key = NULL;
    int code = settings_check(cli);
    if (code)
        return code;
    int rc = strcmp(file, "-") == 0 ? decode_stdin(&key, why, sizeof(why))
                                    : p2p_key_load(file, &key, why, sizeof(why));
    if (rc < 0)
        return report(cli, rc, "cannot read the key: %s", why);
    show(cli, key, NULL);
    p2p_key_free(key);
    return 0;
}
