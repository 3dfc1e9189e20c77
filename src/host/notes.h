/* What an application notes of a peer: <p2p/peerstore.h>. */
#ifndef P2P_HOST_NOTES_H
#define P2P_HOST_NOTES_H

#include <stddef.h>
#include <stdint.h>

#include <p2p/peerstore.h>

struct note {
    struct note *next;
    size_t len;
    char name[P2P_NOTE_NAME_MAX + 1];
    uint8_t bytes[];
};

struct peer;

/* As p2p_host_note, of a peer that is there. */
int p2p__note_put(struct peer *peer, const char *name, const void *bytes, size_t len);
void p2p__notes_free(struct peer *peer);

#endif
