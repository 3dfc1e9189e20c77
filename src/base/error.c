#include <p2p/error.h>

#include <stdalign.h>
#include <string.h>

#include "base/mem.h"

const char *p2p_code_name(int code)
{
    switch (code) {
    case P2P_OK:
        return "OK";
#define P2P_X(name, number, sentence)                                                              \
    case P2P_##name:                                                                               \
        return #name;
        P2P_ERRORS(P2P_X)
#undef P2P_X
    default:
        return "EUNKNOWN";
    }
}

const char *p2p_code_text(int code)
{
    switch (code) {
    case P2P_OK:
        return "no error";
#define P2P_X(name, number, sentence)                                                              \
    case P2P_##name:                                                                               \
        return sentence;
        P2P_ERRORS(P2P_X)
#undef P2P_X
    default:
        return "an unknown error";
    }
}

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* Copies to *room, which moves on. */
static const char *text_move(const char *text, char **room)
{
    if (!text) {
        return NULL;
    }
    size_t size = text_size(text);
    char *copy = memcpy(*room, text, size);
    *room += size;
    return copy;
}

/* One allocation: the error, its attempts, then every text. */
p2p_error *p2p_error_copy(const p2p_error *error)
{
    _Static_assert(sizeof(p2p_error) % alignof(p2p_attempt) == 0, "attempts follow the error");
    size_t size = sizeof *error + text_size(error->limit) + text_size(error->message);
    for (size_t i = 0; i < error->attempt_count; i++) {
        size += sizeof *error->attempts + text_size(error->attempts[i].addr) +
                text_size(error->attempts[i].error);
    }
    p2p_error *copy = p2p__alloc(size);
    if (!copy) {
        return NULL;
    }
    p2p_attempt *attempts = (p2p_attempt *)(copy + 1);
    char *room = (char *)(attempts + error->attempt_count);
    *copy = *error;
    copy->size = sizeof *copy;
    copy->limit = text_move(error->limit, &room);
    copy->message = text_move(error->message, &room);
    copy->attempts = error->attempt_count > 0 ? attempts : NULL;
    for (size_t i = 0; i < error->attempt_count; i++) {
        attempts[i] = error->attempts[i];
        attempts[i].addr = text_move(error->attempts[i].addr, &room);
        attempts[i].error = text_move(error->attempts[i].error, &room);
    }
    return copy;
}

void p2p_error_free(p2p_error *error)
{
    p2p__free(error);
}
