/* What an application notes of peers. */
#include "host/notes.h"

#include <string.h>

#include <p2p/peerstore.h>

#include "base/mem.h"
#include "host/host.h"

static struct note **find(struct peer *peer, const char *name)
{
    struct note **at = &peer->notes;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static void totals(const struct peer *peer, size_t *count, size_t *bytes)
{
    *count = *bytes = 0;
    for (const struct note *note = peer->notes; note; note = note->next) {
        ++*count;
        *bytes += strlen(note->name) + note->len;
    }
}

static int put(struct peer *peer, const char *name, const void *bytes, size_t len)
{
    size_t count, total, name_len = strlen(name);
    struct note **at = find(peer, name), *old = *at;
    totals(peer, &count, &total);
    if (old)
        total -= name_len + old->len;
    if (total + name_len + len > P2P_NOTES_LEN_MAX || (!old && count == P2P_NOTES_MAX))
        return P2P_ELIMIT;
    struct note *note = p2p__realloc(NULL, sizeof(*note) + len);
    if (!note)
        return P2P_ENOMEM;
    note->next = old ? old->next : NULL;
    note->len = len;
    memcpy(note->name, name, name_len + 1);
    if (len)
        memcpy(note->bytes, bytes, len);
    *at = note;
    p2p__free(old);
    return 0;
}

static int take_away(struct peer *peer, const char *name)
{
    struct note **at = find(peer, name), *old = *at;
    if (!old)
        return P2P_ENOENT;
    *at = old->next;
    p2p__free(old);
    return 0;
}

int p2p__note_put(struct peer *peer, const char *name, const void *bytes, size_t len)
{
    size_t name_len = strlen(name);
    if (name_len == 0 || name_len > P2P_NOTE_NAME_MAX)
        return P2P_EINVAL;
    if (len > P2P_NOTE_MAX)
        return P2P_ETOOBIG;
    return bytes ? put(peer, name, bytes, len) : take_away(peer, name);
}

void p2p__notes_free(struct peer *peer)
{
    while (peer->notes) {
        struct note *note = peer->notes;
        peer->notes = note->next;
        p2p__free(note);
    }
}

/* ---- what an application asks ---- */

int p2p_host_note(p2p_host *host, const p2p_peer_id *id, const char *name, const void *bytes,
                  size_t len)
{
    struct peer *peer = p2p__peer_find(host, id);
    if (!peer && !bytes)
        return P2P_ENOENT;
    if (!peer && host->peer_map.count >= PEERS_MAX)
        return P2P_ELIMIT;
    peer = p2p__peer_get(host, id);
    if (!peer)
        return P2P_ENOMEM;
    int rc = p2p__note_put(peer, name, bytes, len);
    if (rc == 0)
        p2p__remember_peer(host, peer);
    p2p__peer_release(host, peer);
    return rc;
}

const void *p2p_host_noted(const p2p_host *host, const p2p_peer_id *id, const char *name,
                           size_t *len)
{
    struct peer *peer = p2p__peer_find(host, id);
    const struct note *note = peer ? *find(peer, name) : NULL;
    *len = note ? note->len : 0;
    return note ? note->bytes : NULL;
}

const char *p2p_host_note_name(const p2p_host *host, const p2p_peer_id *id, size_t index)
{
    const struct peer *peer = p2p__peer_find(host, id);
    const struct note *note = peer ? peer->notes : NULL;
    while (note && index-- > 0)
        note = note->next;
    return note ? note->name : NULL;
}
