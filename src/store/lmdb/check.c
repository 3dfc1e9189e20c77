/* The structure of an LMDB file (data version 1 of 0.9, in the machine's own byte order): every
 * page that can be reached is what it should be, once, and holds what it says. */
#include <string.h>

#include "base/mem.h"
#include "store/lmdb/lmdb.h"

#define MAGIC   UINT32_C(0xBEEFC0DE)
#define NO_PAGE SIZE_MAX

enum {
    DATA_VERSION = 1,
    PAGE_HEADER = sizeof(size_t) + 8, /* number, two bytes of nothing, flags, lower and upper */
    NODE_HEADER = 8,
    PAGE_MIN = 512,
    PAGE_MAX = 65536,
    DEPTH_MAX = 32, /* LMDB's CURSOR_STACK */
    BRANCH = 1,
    LEAF = 2,
    OVERFLOW = 4,
    META = 8,
    BIG = 1, /* of a node: the value lies on pages of its own */
    KEY_MAX = 511,
    FREE_DB = 0,
    MAIN_DB = 1,
};

struct db {
    uint32_t pad;
    uint16_t flags, depth;
    size_t branches, leaves, overflows, entries, root;
};

struct meta {
    uint32_t magic, version;
    size_t address, mapsize;
    struct db dbs[2];
    size_t last, txn;
};

struct check {
    FILE *file;
    size_t page_size, pages; /* of the file */
    uint8_t *seen;           /* one bit a page */
    const struct db *db;
    struct db counted;
    const char *wrong;
    bool of_free; /* keys are transactions, values lists of pages */
    size_t last;
};

static bool wrong(struct check *self, const char *what)
{
    if (!self->wrong)
        self->wrong = what;
    return false;
}

static bool read_at(struct check *self, size_t page, size_t count, void *out)
{
    return (page < self->pages && count <= self->pages - page &&
            fseek(self->file, (long)(page * self->page_size), SEEK_SET) == 0 &&
            fread(out, self->page_size, count, self->file) == count) ||
           wrong(self, "it is damaged: it ends too early");
}

static bool see(struct check *self, size_t page)
{
    if (page < 2 || page > self->last || page >= self->pages)
        return wrong(self, "it is damaged: a page is outside of it");
    uint8_t bit = (uint8_t)(1u << (page % 8));
    if (self->seen[page / 8] & bit)
        return wrong(self, "it is damaged: a page is used twice");
    self->seen[page / 8] |= bit;
    return true;
}

static uint16_t half(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static size_t word(const uint8_t *at)
{
    size_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

/* A list of pages nobody uses: a count, then that many numbers, falling. They are overwritten, so
 * that none may be in use. */
static bool check_free(struct check *self, const uint8_t *list, size_t len)
{
    size_t count = len >= sizeof(size_t) ? word(list) : 0;
    if (len < sizeof(size_t) || len % sizeof(size_t) || count > len / sizeof(size_t) - 1)
        return wrong(self, "it is damaged: a list of free pages");
    size_t before = SIZE_MAX;
    for (size_t i = 1; i <= count; i++) {
        size_t page = word(list + i * sizeof(size_t));
        if (page < 2 || page > self->last || page >= before)
            return wrong(self, "it is damaged: a list of free pages");
        before = page;
        uint8_t bit = (uint8_t)(1u << (page % 8));
        if (page < self->pages && self->seen[page / 8] & bit)
            return wrong(self, "it is damaged: a free page is in use");
        if (page < self->pages)
            self->seen[page / 8] |= bit;
    }
    return true;
}

static bool check_big(struct check *self, size_t page, size_t len)
{
    size_t count = (PAGE_HEADER - 1 + len) / self->page_size + 1;
    if (page >= self->pages || count > self->pages - page)
        return wrong(self, "it is damaged: a value ends outside of it");
    for (size_t i = 0; i < count; i++)
        if (!see(self, page + i))
            return false;
    uint8_t *bytes = p2p__alloc(count * self->page_size);
    bool good = bytes ? read_at(self, page, count, bytes) : wrong(self, "no memory to check it");
    if (good) {
        uint32_t told;
        memcpy(&told, bytes + sizeof(size_t) + 4, sizeof(told));
        good = (word(bytes) == page && half(bytes + sizeof(size_t) + 2) == OVERFLOW &&
                told == count) ||
               wrong(self, "it is damaged: a long value");
        self->counted.overflows += count;
        if (good && self->of_free)
            good = check_free(self, bytes + PAGE_HEADER, len);
    }
    p2p__free(bytes);
    return good;
}

static bool check_page(struct check *self, size_t page, unsigned level);

static bool check_leaf_node(struct check *self, const uint8_t *node, size_t room, size_t key_len)
{
    size_t len = half(node) | (size_t)half(node + 2) << 16;
    unsigned flags = half(node + 4);
    const uint8_t *value = node + NODE_HEADER + key_len;
    size_t inside = flags == BIG ? sizeof(size_t) : len;
    if ((flags != 0 && flags != BIG) || key_len == 0 || inside > room - NODE_HEADER - key_len ||
        (self->of_free && key_len != sizeof(size_t)))
        return wrong(self, "it is damaged: an entry");
    self->counted.entries++;
    if (flags == BIG)
        return check_big(self, word(value), len);
    return !self->of_free || check_free(self, value, len);
}

static bool check_node(struct check *self, const uint8_t *bytes, size_t offset, unsigned level)
{
    const uint8_t *node = bytes + offset;
    size_t room = self->page_size - offset;
    size_t key_len = half(node + 6);
    if (key_len > KEY_MAX || NODE_HEADER + key_len > room)
        return wrong(self, "it is damaged: an entry");
    if (level == self->db->depth)
        return check_leaf_node(self, node, room, key_len);
    size_t child = half(node) | (size_t)half(node + 2) << 16;
    if (sizeof(size_t) > 4)
        child |= (size_t)((uint64_t)half(node + 4) << 32);
    return check_page(self, child, level + 1);
}

static bool check_nodes(struct check *self, const uint8_t *bytes, unsigned level)
{
    size_t lower = half(bytes + sizeof(size_t) + 4), upper = half(bytes + sizeof(size_t) + 6);
    if (lower < PAGE_HEADER || lower % 2 || upper < lower || upper > self->page_size)
        return wrong(self, "it is damaged: a page's bounds");
    size_t count = (lower - PAGE_HEADER) / 2;
    if (count == 0 || (level < self->db->depth && count < 2))
        return wrong(self, "it is damaged: an empty page");
    for (size_t i = 0; i < count; i++) {
        size_t offset = half(bytes + PAGE_HEADER + i * 2);
        if (offset < upper || offset % 2 || offset + NODE_HEADER > self->page_size)
            return wrong(self, "it is damaged: an entry lies outside its page");
        if (!check_node(self, bytes, offset, level))
            return false;
    }
    return true;
}

static bool check_page(struct check *self, size_t page, unsigned level)
{
    if (!see(self, page))
        return false;
    uint8_t *bytes = p2p__alloc(self->page_size);
    bool good = bytes ? read_at(self, page, 1, bytes) : wrong(self, "no memory to check it");
    bool leaf = level == self->db->depth;
    if (good) {
        self->counted.leaves += leaf;
        self->counted.branches += !leaf;
        good =
            (word(bytes) == page && half(bytes + sizeof(size_t) + 2) == (leaf ? LEAF : BRANCH)) ||
            wrong(self, "it is damaged: a page is of another kind");
    }
    good = good && check_nodes(self, bytes, level);
    p2p__free(bytes);
    return good;
}

static bool check_db(struct check *self, const struct db *db, bool of_free)
{
    self->db = db;
    self->counted = (struct db){0};
    self->of_free = of_free;
    if (db->root == NO_PAGE)
        return (db->depth == 0 && db->entries == 0) || wrong(self, "it is damaged: its root");
    if (db->depth == 0 || db->depth > DEPTH_MAX)
        return wrong(self, "it is damaged: its depth");
    return check_page(self, db->root, 1) &&
           ((self->counted.entries == db->entries && self->counted.leaves == db->leaves &&
             self->counted.branches == db->branches && self->counted.overflows == db->overflows) ||
            wrong(self, "it is damaged: it does not hold what it says"));
}

static bool read_meta(struct check *self, size_t page, struct meta *out)
{
    uint8_t bytes[PAGE_HEADER + sizeof(*out)];
    if (fseek(self->file, (long)(page * self->page_size), SEEK_SET) != 0 ||
        fread(bytes, sizeof(bytes), 1, self->file) != 1)
        return wrong(self, "it is damaged: it ends too early");
    memcpy(out, bytes + PAGE_HEADER, sizeof(*out));
    size_t page_size = out->dbs[FREE_DB].pad;
    if (word(bytes) != page || half(bytes + sizeof(size_t) + 2) != META || out->magic != MAGIC ||
        out->version != DATA_VERSION)
        return wrong(self, "it is damaged, or no store");
    if (page_size < PAGE_MIN || page_size > PAGE_MAX || (page_size & (page_size - 1)) ||
        (self->page_size && page_size != self->page_size))
        return wrong(self, "it is damaged: its page size");
    /* LMDB numbers transactions with integer keys; no database has other flags here. */
    if ((out->dbs[FREE_DB].flags & 0xffu) != 8 || out->dbs[MAIN_DB].flags != 0 || out->last < 1 ||
        out->last > SIZE_MAX / page_size - 1)
        return wrong(self, "it is damaged: its first pages");
    self->page_size = page_size;
    return true;
}

const char *p2p__lmdb_check(FILE *file)
{
    struct check self = {.file = file};
    struct meta metas[2];
    if (fseek(file, 0, SEEK_END) != 0)
        return "it cannot be read";
    long size = ftell(file);
    if (size == 0)
        return NULL;
    if (size < 0 || !read_meta(&self, 0, &metas[0]) || !read_meta(&self, 1, &metas[1]))
        return self.wrong ? self.wrong : "it cannot be read";
    const struct meta *meta = &metas[metas[1].txn > metas[0].txn];
    self.pages = (size_t)size / self.page_size;
    self.last = meta->last;
    self.seen = p2p__alloc(self.pages / 8 + 1);
    if (!self.seen)
        return "no memory to check it";
    /* The free pages last: none of them may have been met. */
    if (check_db(&self, &meta->dbs[MAIN_DB], false))
        (void)check_db(&self, &meta->dbs[FREE_DB], true);
    p2p__free(self.seen);
    return self.wrong;
}
