/* Certificates from files: read, renewed, and what cannot be read. Files are real in both worlds.
 */
#define _GNU_SOURCE
#include "tests/test.h"

#include <unistd.h>

#include "tests/world.h"

#include "tests/echo.h"
#include "tests/web_certs.h"

#include "host/host.h"
#include "layer/web_tls.h"

struct fixture {
    struct world world;
    char folder[64], path[3][96], option[3][128];
    struct web_cert root, one, two;
    p2p_host *host;
    char warning[600];
    int warnings;
};

static void put(const char *path, const char *bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(bytes, file);
    fclose(file);
}

static void on_warning(p2p_host *host, const p2p_error *why, void *user)
{
    struct fixture *f = user;
    (void)host;
    f->warnings++;
    snprintf(f->warning, sizeof(f->warning), "%s", why->message);
}

static const p2p_host_events events = {.size = sizeof(events), .on_warning = on_warning};

static void fixture_init(struct fixture *f, void **state)
{
    static const char *const names[] = {"wss_cert", "wss_key", "wss_ca"};
    *f = (struct fixture){.warnings = 0};
    snprintf(f->folder, sizeof(f->folder), "/tmp/p2p-web-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    for (int i = 0; i < 3; i++) {
        snprintf(f->path[i], sizeof(f->path[i]), "%s/%s", f->folder, names[i]);
        snprintf(f->option[i], sizeof(f->option[i]), "%s=%s", names[i], f->path[i]);
    }
    web_authority(&f->root, "root");
    web_cert_init(&f->one, &(struct web_recipe){.names = "DNS:one.example"}, &f->root);
    web_cert_init(&f->two, &(struct web_recipe){.names = "DNS:two.example"}, &f->root);
    put(f->path[0], f->one.pem);
    put(f->path[1], f->one.key_pem);
    put(f->path[2], f->root.pem);
    world_init(&f->world, kind_of(state), 1, false);
}

static void fixture_host(struct fixture *f)
{
    f->host =
        world_host(&f->world, (const char *[]){f->option[0], f->option[1], f->option[2], NULL});
    p2p_host_set_events(f->host, &events, f);
}

static void fixture_fini(struct fixture *f)
{
    world_fini(&f->world);
    for (int i = 0; i < 3; i++)
        (void)remove(f->path[i]);
    assert_int_equal(rmdir(f->folder), 0);
    web_cert_fini(&f->root);
    web_cert_fini(&f->one);
    web_cert_fini(&f->two);
}

static void expect_served(struct fixture *f, const struct web_cert *cert)
{
    const struct p2p__web *web = f->host->shard.env.web;
    assert_int_equal(web->identity_count, 1);
    assert_int_equal(X509_cmp(web->identities[0].leaf, cert->cert), 0);
}

/* ---- at the start ---- */

static void test_files_are_read(void **state)
{
    struct fixture f;
    fixture_init(&f, state);
    fixture_host(&f);
    expect_served(&f, &f.one);
    assert_non_null(f.host->shard.env.web->roots);
    fixture_fini(&f);
}

/* One file may hold both. */
static void test_a_key_beside_its_certificate(void **state)
{
    struct fixture f;
    fixture_init(&f, state);
    char *both = calloc(1, strlen(f.one.pem) + strlen(f.one.key_pem) + 1);
    strcpy(both, f.one.pem);
    strcat(both, f.one.key_pem);
    put(f.path[0], both);
    free(both);
    f.host = world_host(&f.world, (const char *[]){f.option[0], NULL});
    expect_served(&f, &f.one);
    fixture_fini(&f);
}

static void refuse(struct fixture *f, const char *const *options, int code, const char *path,
                   const char *sentence)
{
    p2p_config *config = p2p_config_new();
    p2p_io *io = p2p_io_poll();
    p2p_host *host = NULL;
    p2p_error *err = NULL;
    char expected[400];
    for (; *options; options++) {
        char name[16];
        const char *value = strchr(*options, '=');
        snprintf(name, sizeof(name), "%.*s", (int)(value - *options), *options);
        assert_int_equal(p2p_config_set(config, name, value + 1, NULL, 0), 0);
    }
    assert_int_equal(p2p_host_new(config, io, &host, &err), code);
    assert_null(host);
    snprintf(expected, sizeof(expected), "%s%s%s", path ? path : "", path ? ": " : "", sentence);
    assert_string_equal(err->message, expected);
    p2p_error_free(err);
    p2p_config_free(config);
    p2p_io_free(io);
    (void)f;
}

static void test_files_that_cannot_be_used(void **state)
{
    struct fixture f;
    fixture_init(&f, state);
    const char *all[] = {f.option[0], f.option[1], f.option[2], NULL};
    put(f.path[0], "hello\n");
    refuse(&f, all, P2P_EKEY, f.path[0], "its text holds no certificate in PEM");
    put(f.path[0], f.one.pem);
    put(f.path[1], f.two.key_pem);
    refuse(&f, all, P2P_EKEY, f.path[1], "its private key is not the certificate's");
    (void)remove(f.path[1]);
    refuse(&f, all, P2P_EFILE, f.path[1], "No such file or directory");
    put(f.path[1], f.one.key_pem);
    put(f.path[2], "");
    refuse(&f, all, P2P_EKEY, f.path[2], "its text holds no certificate in PEM");
    put(f.path[2], f.root.pem);
    refuse(&f, (const char *[]){f.option[0], NULL}, P2P_EKEY, f.path[0],
           "its text holds no private key in PEM");
    refuse(&f, (const char *[]){f.option[0], f.option[0], f.option[1], NULL}, P2P_EINVAL, NULL,
           "option wss_key must name as many files as wss_cert, or none");
    refuse(&f, (const char *[]){f.option[1], NULL}, P2P_EINVAL, NULL,
           "option wss_key must name as many files as wss_cert, or none");
    fixture_fini(&f);
}

static void test_as_many_as_fit(void **state)
{
    struct fixture f;
    fixture_init(&f, state);
    const char *options[2 * WEB_IDENTITIES_MAX + 3] = {NULL};
    for (int i = 0; i < WEB_IDENTITIES_MAX; i++) {
        options[2 * i] = f.option[0];
        options[2 * i + 1] = f.option[1];
    }
    f.host = world_host(&f.world, options);
    assert_int_equal(f.host->shard.env.web->identity_count, WEB_IDENTITIES_MAX);
    options[2 * WEB_IDENTITIES_MAX] = f.option[0];
    options[2 * WEB_IDENTITIES_MAX + 1] = f.option[1];
    refuse(&f, options, P2P_EINVAL, NULL,
           "options wss_cert and wss_ca name at most 16 files and one");
    fixture_fini(&f);
}

/* ---- later ---- */

static void test_reload(void **state)
{
    struct fixture f;
    p2p_error *err = NULL;
    char expected[400];
    fixture_init(&f, state);
    fixture_host(&f);
    put(f.path[0], f.two.pem);
    assert_int_equal(p2p_host_reload(f.host, &err), P2P_EKEY);
    snprintf(expected, sizeof(expected), "%s: its private key is not the certificate's", f.path[1]);
    assert_string_equal(err->message, expected);
    p2p_error_free(err);
    expect_served(&f, &f.one);
    put(f.path[1], f.two.key_pem);
    assert_int_equal(p2p_host_reload(f.host, &err), 0);
    assert_null(err);
    expect_served(&f, &f.two);
    assert_int_equal(f.warnings, 0);
    fixture_fini(&f);
}

static void test_nothing_to_reload(void **state)
{
    struct fixture f;
    fixture_init(&f, state);
    f.host = world_host(&f.world, NULL);
    assert_int_equal(p2p_host_reload(f.host, NULL), 0);
    fixture_fini(&f);
}

/* In the simulator: ten seconds there are none here. */
static void test_a_change_is_noticed(void **state)
{
    struct fixture f;
    fixture_init(&f, state);
    fixture_host(&f);
    put(f.path[0], f.two.pem);
    put(f.path[1], f.two.key_pem);
    world_run(&f.world, 4999);
    expect_served(&f, &f.one);
    world_run(&f.world, 5002);
    expect_served(&f, &f.two);
    assert_int_equal(f.warnings, 0);
    /* A bad one: told once, and the good one stays. */
    put(f.path[1], "garbage");
    world_run(&f.world, 60000);
    expect_served(&f, &f.two);
    assert_int_equal(f.warnings, 1);
    assert_non_null(strstr(f.warning, f.path[1]));
    assert_non_null(strstr(f.warning, "its text holds no private key in PEM"));
    (void)remove(f.path[1]);
    world_run(&f.world, 60000);
    assert_int_equal(f.warnings, 2);
    assert_non_null(strstr(f.warning, "No such file or directory"));
    put(f.path[0], f.one.pem);
    put(f.path[1], f.one.key_pem);
    world_run(&f.world, 10001);
    expect_served(&f, &f.one);
    assert_int_equal(f.warnings, 2);
    fixture_fini(&f);
}

/* While the two files do not belong together yet, nothing is read and nothing said. */
static void test_files_that_change_one_after_the_other(void **state)
{
    struct fixture f;
    fixture_init(&f, state);
    fixture_host(&f);
    world_run(&f.world, 4000);
    put(f.path[0], f.two.pem);
    world_run(&f.world, 3000); /* seen, at five seconds */
    put(f.path[1], f.two.key_pem);
    world_run(&f.world, 10000);
    expect_served(&f, &f.two);
    assert_int_equal(f.warnings, 0);
    fixture_fini(&f);
}

#define SIM(test)                                                                                  \
    {                                                                                              \
#test "/sim", test, NULL, NULL, (void *)WORLD_SIM                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_files_are_read),
        BOTH(test_a_key_beside_its_certificate),
        BOTH(test_files_that_cannot_be_used),
        SIM(test_as_many_as_fit),
        BOTH(test_reload),
        BOTH(test_nothing_to_reload),
        SIM(test_a_change_is_noticed),
        SIM(test_files_that_change_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
