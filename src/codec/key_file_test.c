#define _GNU_SOURCE
#include "tests/test.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codec/key.h"
#include "codec/multibase.h"
#include "crypto/der.h"
#include "tests/hex.h"
#include "tests/vectors/peer_ids.h"

/* Made with openssl genpkey for these tests. */
static const char PEM_ED25519[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIGRsHicKnNTzEcUpGMFq4UvnY/rsGPVYoFcdkT7W/oCS\n"
    "-----END PRIVATE KEY-----\n";
static const char PEM_P256[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgL60lU+s/JKhpujzW\n"
                               "ty5NN2rU5+7NogMLO6sE2np1z0WhRANCAAQBB+ItAdA3raaBzO4ZgDiiuwLvsUQk\n"
                               "VA/Zy/jyQ6xt+fnp2PUjV41zPmUHGgKkSpBiYWrhctkVB7jP6274fIIz\n"
                               "-----END PRIVATE KEY-----\n";
static const char PEM_SECP256K1[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgYqpNOSSfFmSBUQ+3bsVS\n"
    "/IewTqLWARSjAnxKu31x0T2hRANCAAT2neaOG8gmkznpiLRp+Ygq/QyXEebjszel\n"
    "EqSmY+6SJOjyuzqTM6Z3/5fqNJeGeRgW74oq98Lq5ClM+2t8M1RO\n"
    "-----END PRIVATE KEY-----\n";
static const char PEM_P384[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBA3J4xoCvfa6yJQzmI\n"
                               "kSL8qEtYb07kWRoW6zRBH78v2XLoJ+S2pDGsNAr/ZO0AavGhZANiAAQgolVrdqSk\n"
                               "E4Gan8em+erwWHsJAMPGDwJCyltQ5nFKzWT3crsj3TCgPpH/HMcjS1RmD8tSoixw\n"
                               "UJzxZgbiaOxX06WOqXPIaNWLZE02MPGs23S6nUfMNQl6PoOsuhrpYqY=\n"
                               "-----END PRIVATE KEY-----\n";
static const char PEM_ENCRYPTED[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiauphF/fjcEAICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEDp4e9G5DO39ATKkiLJkBEYEQBym\n"
    "ZviY+gLhOyseHBHumK0k3I8JsjjwdXYGfoU/95IFrQoK78cTHs/Em2YWe1NqepnJ\n"
    "W6EgXE6q3ImI012zZi0=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";
static const char PEM_X25519[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIHhb+K0DRKhnV53qv2wM0ekaquf83valQcXmomuJfhtH\n"
    "-----END PRIVATE KEY-----\n";

static char why[256];

/* The type, or the error; what the file says is then in `why`. */
static int read_bytes(const void *bytes, size_t len, char id[P2P_PEER_ID_TEXT_MAX])
{
    p2p_key *key = NULL;
    /* A copy of exactly this size, so that reading past its end is noticed. */
    uint8_t *exact = malloc(len ? len : 1);
    if (len > 0) {
        memcpy(exact, bytes, len);
    }
    memset(why, 'x', sizeof why - 1);
    int code = p2p_key_decode_file(exact, len, &key, why, sizeof why);
    free(exact);
    if (code != P2P_OK) {
        assert_null(key);
        assert_true(strlen(why) > 0 && strlen(why) < sizeof why - 1);
        return code;
    }
    assert_string_equal(why, "");
    int type = p2p_key_type(key);
    if (id) {
        assert_true(p2p_peer_id_format(p2p_key_peer_id(key), id, P2P_PEER_ID_TEXT_MAX) > 0);
    }
    p2p_key_free(key);
    return type;
}

static int read_text(const char *text)
{
    return read_bytes(text, strlen(text), NULL);
}

static size_t vector(int type, uint8_t out[P2P_KEY_PRIVATE_MAX])
{
    return unhex(PEER_ID_VECTORS[type].private_hex, out, P2P_KEY_PRIVATE_MAX);
}

static void base64(char base, const uint8_t *bytes, size_t len, char *out, size_t cap)
{
    assert_true(p2p__base_encode(base, bytes, len, out, cap) > 0);
}

static void test_raw_and_base64_of_every_type(void **state)
{
    (void)state;
    for (int type = 0; type < 4; type++) {
        uint8_t bytes[P2P_KEY_PRIVATE_MAX];
        char id[P2P_PEER_ID_TEXT_MAX], text[4096], wrapped[5000];
        size_t len = vector(type, bytes);
        assert_int_equal(read_bytes(bytes, len, id), type);
        assert_string_equal(id, PEER_ID_VECTORS[type].base58);

        base64('M', bytes, len, text, sizeof text);
        assert_int_equal(read_bytes(text, strlen(text), id), type);
        assert_string_equal(id, PEER_ID_VECTORS[type].base58);
        /* As base64(1) writes it, and with what editors put at the end. */
        size_t at = 0;
        for (size_t i = 0; text[i]; i++) {
            wrapped[at++] = text[i];
            if (i % 76 == 75) {
                wrapped[at++] = '\n';
            }
        }
        strcpy(wrapped + at, "\r\n");
        assert_int_equal(read_text(wrapped), type);
        base64('m', bytes, len, text, sizeof text); /* no padding */
        assert_int_equal(read_text(text), type);
    }
}

static void test_pem_of_every_type(void **state)
{
    (void)state;
    assert_int_equal(read_text(PEM_ED25519), P2P_KEY_ED25519);
    assert_int_equal(read_text(PEM_P256), P2P_KEY_ECDSA);
    assert_int_equal(read_text(PEM_SECP256K1), P2P_KEY_SECP256K1);
    char text[8192];
    (void)snprintf(text, sizeof text, "Bag Attributes: <No Attributes>\n%s", PEM_ED25519);
    assert_int_equal(read_text(text), P2P_KEY_ED25519);

    /* The vector's PKCS#1, as it is and in PKCS#8. */
    static const uint8_t HEAD[] = {0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86,
                                   0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    uint8_t bytes[P2P_KEY_PRIVATE_MAX], der[3000], inner[3000];
    char encoded[4500], id[P2P_PEER_ID_TEXT_MAX];
    size_t len = vector(P2P_KEY_RSA, bytes) - 5;
    base64('M', bytes + 5, len, encoded, sizeof encoded);
    (void)snprintf(text, sizeof text,
                   "-----BEGIN RSA PRIVATE KEY-----\n%s\n-----END RSA PRIVATE KEY-----\n", encoded);
    assert_int_equal(read_bytes(text, strlen(text), id), P2P_KEY_RSA);
    assert_string_equal(id, PEER_ID_VECTORS[P2P_KEY_RSA].base58);

    memcpy(inner, HEAD, sizeof HEAD);
    size_t at = sizeof HEAD + p2p__der_header(0x04, len, inner + sizeof HEAD);
    memcpy(inner + at, bytes + 5, len);
    at += len;
    size_t head = p2p__der_header(P2P__DER_SEQUENCE, at, der);
    memcpy(der + head, inner, at);
    base64('M', der, head + at, encoded, sizeof encoded);
    (void)snprintf(text, sizeof text,
                   "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n", encoded);
    assert_int_equal(read_bytes(text, strlen(text), id), P2P_KEY_RSA);
    assert_string_equal(id, PEER_ID_VECTORS[P2P_KEY_RSA].base58);
}

static void test_pem_that_is_no_key_of_ours(void **state)
{
    (void)state;
    assert_int_equal(read_text(PEM_P384), P2P_EKEY);
    assert_non_null(strstr(why, "kind"));
    assert_int_equal(read_text(PEM_X25519), P2P_EKEY);
    assert_non_null(strstr(why, "kind"));
    assert_int_equal(read_text(PEM_ENCRYPTED), P2P_EKEY); /* and asks nobody for a pass phrase */
    assert_non_null(strstr(why, "encrypted"));
    assert_int_equal(read_text("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n"),
                     P2P_EKEY);
    assert_int_equal(read_text("-----BEGIN CERTIFICATE-----\n"), P2P_EKEY);
    for (size_t len = 1; len + 2 < sizeof PEM_ED25519; len++) {
        assert_int_equal(read_bytes(PEM_ED25519, len, NULL), P2P_EKEY);
    }
}

static void test_kubo_config(void **state)
{
    (void)state;
    char text[2048], id[P2P_PEER_ID_TEXT_MAX], key64[256];
    uint8_t bytes[P2P_KEY_PRIVATE_MAX];
    size_t len = vector(P2P_KEY_ED25519, bytes);
    base64('M', bytes, len, key64, sizeof key64);
    const char *peer = PEER_ID_VECTORS[P2P_KEY_ED25519].base58;
    (void)snprintf(text, sizeof text,
                   "{\n \"API\": {\"HTTPHeaders\": {}},\n \"Addresses\": {\"Swarm\": "
                   "[\"/ip4/0.0.0.0/tcp/4001\", []], \"n\": [-1.5e+3, 0, 10, true, false, null]},\n"
                   " \"Identity\": {\"PeerID\": \"%s\", \"PrivKey\": \"%s\"},\n"
                   " \"Esc\\u0041pe\\n\": \"\\\"\\\\ \xc3\xa9 \\u00e9\"\n}\n",
                   peer, key64);
    assert_int_equal(read_bytes(text, strlen(text), id), P2P_KEY_ED25519);
    assert_string_equal(id, peer);
    /* Cut anywhere it is no JSON. */
    for (size_t cut = 1; cut + 2 < strlen(text); cut++) {
        assert_int_equal(read_bytes(text, cut, NULL), P2P_EKEY);
    }
    (void)snprintf(text, sizeof text, "{\"Identity\":{\"PrivKey\":\"%s\"}}", key64);
    assert_int_equal(read_text(text), P2P_KEY_ED25519);
    char escaped[600];
    size_t at = 0;
    for (size_t i = 0; key64[i]; i++) {
        const char *format = key64[i] == '/' ? "\\/" : i % 5 == 0 ? "\\u%04x" : "%c";
        at += (size_t)snprintf(escaped + at, sizeof escaped - at, format, key64[i]);
    }
    (void)snprintf(text, sizeof text, "{\"Identity\":{\"PrivKey\":\"%s\"}}", escaped);
    assert_int_equal(read_text(text), P2P_KEY_ED25519);
}

static void test_V04_kubo_config_that_contradicts_itself_or_is_damaged(void **state)
{
    (void)state;
    char key64[256], text[2048];
    uint8_t bytes[P2P_KEY_PRIVATE_MAX];
    size_t len = vector(P2P_KEY_ED25519, bytes);
    base64('M', bytes, len, key64, sizeof key64);
    const char *other = PEER_ID_VECTORS[P2P_KEY_RSA].base58;
    (void)snprintf(text, sizeof text, "{\"Identity\":{\"PeerID\":\"%s\",\"PrivKey\":\"%s\"}}",
                   other, key64);
    assert_int_equal(read_text(text), P2P_EKEY);
    assert_non_null(strstr(why, "PeerID"));

    static const char *const DAMAGED[] = {
        "{",
        "{}",
        "{}}",
        "{\"Identity\":null}",
        "{\"Identity\":\"K\"}",
        "{\"Identity\":{}}",
        "{\"Identity\":{\"PrivKey\":1}}",
        "{\"Identity\":{\"PrivKey\":\"\"}}",
        "{\"Identity\":{\"PrivKey\":\"K\"}}",
        "{\"Identity\":{\"PrivKey\":\"K\"},\"Identity\":{\"PrivKey\":\"K\"}}",
        "{\"Identity\":{\"PrivKey\":\"K\",\"PrivKey\":\"K\"}}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":tru}",
        "{\"a\":[1,]}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\\"}",
        "{\"a\":.5}",
        "{\"a\":'b'}",
    };
    for (size_t i = 0; i < sizeof DAMAGED / sizeof *DAMAGED; i++) {
        (void)snprintf(text, sizeof text, "%s", DAMAGED[i]);
        assert_int_equal(read_text(text), P2P_EKEY);
        /* The same beside a good identity. */
        if (strstr(DAMAGED[i], "\"a\"")) {
            (void)snprintf(text, sizeof text, "{\"Identity\":{\"PrivKey\":\"%s\"},%s", key64,
                           DAMAGED[i] + 1);
            assert_int_equal(read_text(text), P2P_EKEY);
        }
    }
    (void)snprintf(text, sizeof text, "{\"Identity\":{\"PrivKey\":\"%s\",\"PrivKey\":\"%s\"}}",
                   key64, key64);
    assert_int_equal(read_text(text), P2P_EKEY);
    (void)snprintf(text, sizeof text,
                   "{\"Identity\":{\"PrivKey\":\"%s\"},\"Identity\":{\"PrivKey\":\"%s\"}}", key64,
                   key64);
    assert_int_equal(read_text(text), P2P_EKEY);
    /* Depth: both sides of the limit, which the outer object is part of. */
    for (int depth = 1; depth < 100; depth++) {
        size_t at =
            (size_t)snprintf(text, sizeof text, "{\"Identity\":{\"PrivKey\":\"%s\"},\"a\":", key64);
        memset(text + at, '[', (size_t)depth);
        memset(text + at + depth, ']', (size_t)depth);
        strcpy(text + at + 2 * depth, "}");
        assert_int_equal(read_text(text), depth < 32 ? P2P_KEY_ED25519 : P2P_EKEY);
    }
    /* Values too long for what they are. */
    char *longer = malloc(10000);
    int head = snprintf(longer, 10000, "{\"Identity\":{\"PrivKey\":\"");
    memset(longer + head, 'A', 9000);
    strcpy(longer + head + 9000, "\"}}");
    assert_int_equal(read_text(longer), P2P_EKEY);
    free(longer);
}

static void test_V04_files_that_hold_no_key(void **state)
{
    (void)state;
    assert_int_equal(read_bytes(NULL, 0, NULL), P2P_EKEY);
    assert_non_null(strstr(why, "empty"));
    assert_int_equal(read_text(" \n\t\r\n"), P2P_EKEY);
    assert_non_null(strstr(why, "empty"));
    assert_int_equal(read_text("hello"), P2P_EKEY);
    assert_int_equal(read_text("####"), P2P_EKEY);
    assert_int_equal(read_text("AAAA"), P2P_EKEY);
    assert_int_equal(read_bytes("\0\0\0\0", 4, NULL), P2P_EKEY);

    /* Good in front, damaged behind: cut, one bit, one byte more. */
    uint8_t bytes[P2P_KEY_PRIVATE_MAX + 1];
    size_t len = vector(P2P_KEY_ED25519, bytes);
    for (size_t cut = 1; cut < len; cut++) {
        assert_int_equal(read_bytes(bytes, cut, NULL), P2P_EKEY);
    }
    assert_non_null(strstr(why, "ed25519"));
    for (size_t i = 1; i < len; i++) {
        bytes[i] ^= 0x40;
        assert_int_equal(read_bytes(bytes, len, NULL), P2P_EKEY);
        bytes[i] ^= 0x40;
    }
    bytes[len] = '\n';
    assert_int_equal(read_bytes(bytes, len + 1, NULL), P2P_EKEY);

    char *large = malloc(P2P_KEY_FILE_MAX + 1);
    memset(large, ' ', P2P_KEY_FILE_MAX + 1);
    base64('M', bytes, len, large, 1000);
    large[strlen(large)] = '\n';
    assert_int_equal(read_bytes(large, P2P_KEY_FILE_MAX, NULL), P2P_KEY_ED25519);
    assert_int_equal(read_bytes(large, P2P_KEY_FILE_MAX + 1, NULL), P2P_EKEY);
    assert_non_null(strstr(why, "large"));
    free(large);
    /* A short buffer for the sentence, and none. */
    p2p_key *key = NULL;
    assert_int_equal(p2p_key_decode_file(bytes, 0, &key, why, 4), P2P_EKEY);
    assert_string_equal(why, "it ");
    assert_int_equal(p2p_key_decode_file(bytes, 0, &key, NULL, 0), P2P_EKEY);
}

static char folder[64];

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/p2p-key-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

/* Removes what is in it, and counts it. */
static int folder_clear(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.') {
            char path[400];
            (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            (void)remove(path);
            count++;
        }
    }
    closedir(dir);
    return count;
}

static int folder_remove(void **state)
{
    (void)state;
    (void)chmod(folder, 0700);
    (void)folder_clear();
    return rmdir(folder);
}

static void test_save_and_load_every_type(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/identity.key", folder);
    for (int type = 0; type < 4; type++) {
        p2p_key *key = NULL;
        p2p_key *again = NULL;
        assert_int_equal(p2p_key_generate(type, &key), P2P_OK);
        mode_t mask = umask(0);
        assert_int_equal(p2p_key_save(key, path, why, sizeof why), P2P_OK);
        umask(mask);
        assert_string_equal(why, "");
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 07777, 0600);
        assert_int_equal(info.st_nlink, 1);
        assert_int_equal(p2p_key_load(path, &again, why, sizeof why), P2P_OK);
        assert_true(p2p_peer_id_equal(p2p_key_peer_id(key), p2p_key_peer_id(again)));
        p2p_key_free(again);
        p2p_key_free(key);
        assert_int_equal(folder_clear(), 1);
    }
}

static void test_V04_a_file_that_is_there_is_never_touched(void **state)
{
    (void)state;
    char path[128], target[128];
    (void)snprintf(path, sizeof path, "%s/identity.key", folder);
    (void)snprintf(target, sizeof target, "%s/target", folder);
    p2p_key *key = NULL;
    p2p_key *read = NULL;
    assert_int_equal(p2p_key_generate(P2P_KEY_ED25519, &key), P2P_OK);
    FILE *file = fopen(path, "w");
    fclose(file);
    assert_int_equal(p2p_key_save(key, path, why, sizeof why), P2P_EEXIST);
    assert_non_null(strstr(why, path));
    assert_int_equal(p2p_key_load(path, &read, why, sizeof why), P2P_EKEY); /* still empty */
    assert_non_null(strstr(why, "empty"));
    assert_non_null(strstr(why, path));
    assert_null(read);
    (void)remove(path);
    assert_int_equal(symlink(target, path), 0); /* to nowhere; not followed */
    assert_int_equal(p2p_key_save(key, path, why, sizeof why), P2P_EEXIST);
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(folder_clear(), 1);
    p2p_key_free(key);
}

static void test_V02_what_cannot_be_written_or_read(void **state)
{
    (void)state;
    char path[128];
    p2p_key *key = NULL;
    p2p_key *read = NULL;
    assert_int_equal(p2p_key_generate(P2P_KEY_ED25519, &key), P2P_OK);
    (void)snprintf(path, sizeof path, "%s/none/identity.key", folder);
    assert_int_equal(p2p_key_save(key, path, why, sizeof why), P2P_EWRITE);
    assert_non_null(strstr(why, path));
    assert_non_null(strstr(why, "No such file"));
    assert_int_equal(p2p_key_load(path, &read, why, sizeof why), P2P_EFILE);
    assert_non_null(strstr(why, "No such file"));
    assert_int_equal(p2p_key_load(folder, &read, why, sizeof why), P2P_EFILE);
    assert_null(read);

    /* A disk that takes no byte more. */
    (void)snprintf(path, sizeof path, "%s/identity.key", folder);
    struct rlimit old;
    struct rlimit none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = old;
    none.rlim_cur = 10;
    void (*was)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int code = p2p_key_save(key, path, why, sizeof why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, was);
    assert_int_equal(code, P2P_EWRITE);
    assert_int_equal(folder_clear(), 0); /* and nothing was left behind */
    p2p_key_free(key);
}

/* Saves one key after the other until it is killed. */
static void save_for_ever(const p2p_key *key)
{
    for (int i = 0;; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%d", folder, i);
        if (p2p_key_save(key, path, NULL, 0) != P2P_OK) {
            _exit(1);
        }
    }
}

static void test_V01_killed_at_any_moment_a_file_is_whole_or_absent(void **state)
{
    (void)state;
    enum { KILLS = 500 };
    p2p_key *key = NULL;
    assert_int_equal(p2p_key_generate(P2P_KEY_ED25519, &key), P2P_OK);
    int saved = 0;
    for (int round = 0; round < KILLS; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            save_for_ever(key);
        }
        (void)usleep(500 + (useconds_t)round % 100 * 37);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        char path[128];
        int i = 0;
        for (;; i++) {
            p2p_key *again = NULL;
            (void)snprintf(path, sizeof path, "%s/%d", folder, i);
            int code = p2p_key_load(path, &again, why, sizeof why);
            if (code != P2P_OK) {
                assert_int_equal(code, P2P_EFILE);
                break;
            }
            assert_true(p2p_peer_id_equal(p2p_key_peer_id(key), p2p_key_peer_id(again)));
            p2p_key_free(again);
        }
        saved += i;
        int extra = folder_clear() - i;
        assert_true(extra == 0 || extra == 1); /* at most the unfinished one, under another name */
    }
    assert_true(saved > 0);
    p2p_key_free(key);
}

static int external_sign(void *user, const uint8_t *msg, size_t msg_len, uint8_t *sig)
{
    (void)user;
    (void)msg;
    (void)msg_len;
    (void)sig;
    return P2P_EDENIED;
}

static void test_an_external_key_cannot_be_saved(void **state)
{
    (void)state;
    uint8_t pub[32] = {9};
    char path[128];
    p2p_key *key = NULL;
    (void)snprintf(path, sizeof path, "%s/identity.key", folder);
    assert_int_equal(
        p2p_key_new_external(P2P_KEY_ED25519, pub, sizeof pub, external_sign, NULL, &key), P2P_OK);
    assert_int_equal(p2p_key_save(key, path, why, sizeof why), P2P_ENOTSUP);
    assert_int_equal(folder_clear(), 0);
    p2p_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_and_base64_of_every_type),
        cmocka_unit_test(test_pem_of_every_type),
        cmocka_unit_test(test_pem_that_is_no_key_of_ours),
        cmocka_unit_test(test_kubo_config),
        cmocka_unit_test(test_V04_kubo_config_that_contradicts_itself_or_is_damaged),
        cmocka_unit_test(test_V04_files_that_hold_no_key),
        cmocka_unit_test_setup_teardown(test_save_and_load_every_type, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_V04_a_file_that_is_there_is_never_touched, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(test_V02_what_cannot_be_written_or_read, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(test_V01_killed_at_any_moment_a_file_is_whole_or_absent,
                                        folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_an_external_key_cannot_be_saved, folder_make,
                                        folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
