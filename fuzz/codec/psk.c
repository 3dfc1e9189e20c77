/* A swarm key file: a key and no sentence, or a sentence and no key; and every key that is read can
 * be written down and read again. */
#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/multibase.h"
#include "codec/psk.h"

static void check_again(const uint8_t psk[P2P__PSK_LEN], char base, const char *head)
{
    char text[P2P__PSK_FILE_MAX];
    uint8_t again[P2P__PSK_LEN];
    size_t len = strlen(head);
    memcpy(text, head, len);
    int64_t n = p2p__base_encode(base, psk, P2P__PSK_LEN, text + len, sizeof text - len);
    assert(n > 0);
    assert(p2p__psk_decode((const uint8_t *)text, len + (size_t)n, again, NULL, 0) == 0);
    assert(memcmp(again, psk, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zero[P2P__PSK_LEN];
    uint8_t psk[P2P__PSK_LEN];
    char why[160];
    memset(psk, 0xee, sizeof psk);
    memset(why, 'x', sizeof why);
    int code = p2p__psk_decode(data, size, psk, why, sizeof why);
    assert(code == 0 || code == P2P_EKEY);
    assert(memchr(why, 0, sizeof why - 1) && (why[0] != 0) == (code < 0));
    if (code < 0) {
        assert(memcmp(psk, zero, sizeof psk) == 0);
        return 0;
    }
    assert(size > 22 && memcmp(data, "/key/swarm/psk/1.0.0/", 21) == 0);
    check_again(psk, 'f', "/key/swarm/psk/1.0.0/\r\n/base16/\r\n");
    check_again(psk, 'M', "/key/swarm/psk/1.0.0/\n/base64/\n");
    return 0;
}
