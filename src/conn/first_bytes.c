#include "conn/first_bytes.h"

#include <string.h>

enum {
    TLS_HANDSHAKE_RECORD = 0x16,
    TLS_MAJOR = 3,
    TLS_RECORD_LEN_MAX = 0x40, /* the high byte of 2^14 */
    TLS_CLIENT_HELLO = 1,
};

static const uint8_t get[] = {'G', 'E', 'T', ' '};

/* How the record begins that carries a ClientHello (RFC 8446, sections 5.1 and 4), whose length
 * never needs its third byte; 0xff: anything up to it. */
static bool hello_at(size_t i, uint8_t byte)
{
    switch (i) {
    case 0:
        return byte == TLS_HANDSHAKE_RECORD;
    case 1:
        return byte == TLS_MAJOR;
    case 2:
        return byte <= 4;
    case 3:
        return byte <= TLS_RECORD_LEN_MAX;
    case 5:
        return byte == TLS_CLIENT_HELLO;
    case 6:
        return byte == 0;
    default:
        return true;
    }
}

static bool get_at(size_t i, uint8_t byte)
{
    return byte == get[i];
}

/* Whether `in` goes on as `at` says, up to len bytes. */
static enum first_bytes match(const uint8_t *in, size_t in_len, size_t len,
                              bool (*at)(size_t i, uint8_t byte), enum first_bytes found)
{
    for (size_t i = 0; i < len && i < in_len; i++)
        if (!at(i, in[i]))
            return FIRST_BYTES_PLAIN;
    return in_len < len ? FIRST_BYTES_MORE : found;
}

/* Multistream-select begins with the length 19, so that one byte decides. A nonce may begin with
 * anything: one in 2^32 looks like HTTP for 4 bytes, one in 2^40 like TLS for 7; that dial fails,
 * and the next has another nonce. */
enum first_bytes p2p__first_bytes(const uint8_t *in, size_t in_len, bool nonce)
{
    if (in_len == 0)
        return FIRST_BYTES_MORE;
    if (in[0] == get[0])
        return match(in, in_len, nonce ? sizeof get : 1, get_at, FIRST_BYTES_HTTP);
    if (in[0] == TLS_HANDSHAKE_RECORD)
        return match(in, in_len, nonce ? 7 : 1, hello_at, FIRST_BYTES_TLS);
    return FIRST_BYTES_PLAIN;
}
