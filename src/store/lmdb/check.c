/* The structure of an LMDB file (data version 1 of 0.9, in the machine's own byte order): every
 * page that can be reached is what it should be, once, and holds what it says, in order. */
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
    /* Pages that were free before they were ever written may lie beyond the end. LMDB holds fewer
     * than 131,072 pages back in a transaction. */
    TAIL_MAX = 1 << 20,
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
    size_t last, txn;
};

struct key {
    const uint8_t *bytes; /* NULL: no bound */
    size_t len;
};

/* What the parents say of the keys of a page: not below from, below to. */
struct range {
    struct key from, to;
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
        if (self->seen[page / 8] & bit)
            return wrong(self, "it is damaged: a free page is in use");
        self->seen[page / 8] |= bit;
    }
    return true;
}

/* What became shorter within one transaction stays on the pages that it had: a run may be longer
 * than its value. */
static bool check_run(struct check *self, const uint8_t *bytes, size_t page, size_t count)
{
    uint32_t told;
    memcpy(&told, bytes + sizeof(size_t) + 4, sizeof(told));
    if (word(bytes) != page || half(bytes + sizeof(size_t) + 2) != OVERFLOW || told < count)
        return wrong(self, "it is damaged: a long value");
    if (told > self->pages - page)
        return wrong(self, "it is damaged: a value ends outside of it");
    for (size_t i = 0; i < told; i++)
        if (!see(self, page + i))
            return false;
    self->counted.overflows += told;
    return true;
}

static bool check_big(struct check *self, size_t page, size_t len)
{
    size_t count = (PAGE_HEADER - 1 + len) / self->page_size + 1;
    if (page >= self->pages || count > self->pages - page)
        return wrong(self, "it is damaged: a value ends outside of it");
    uint8_t *bytes = p2p__alloc(count * self->page_size);
    bool good = bytes ? read_at(self, page, count, bytes) : wrong(self, "no memory to check it");
    good = good && check_run(self, bytes, page, count) &&
           (!self->of_free || check_free(self, bytes + PAGE_HEADER, len));
    p2p__free(bytes);
    return good;
}

/* As LMDB orders them: transactions are numbers, other keys bytes and then lengths. */
static bool before(const struct check *self, struct key a, struct key b)
{
    if (self->of_free)
        return word(a.bytes) < word(b.bytes);
    int order = memcmp(a.bytes, b.bytes, a.len < b.len ? a.len : b.len);
    return order != 0 ? order < 0 : a.len < b.len;
}

static bool check_page(struct check *self, size_t page, unsigned level, struct range range);

static bool check_leaf_node(struct check *self, const uint8_t *node, size_t room, size_t key_len)
{
    size_t len = half(node) | (size_t)half(node + 2) << 16;
    unsigned flags = half(node + 4);
    const uint8_t *value = node + NODE_HEADER + key_len;
    size_t inside = flags == BIG ? sizeof(size_t) : len;
    if ((flags != 0 && flags != BIG) || inside > room - NODE_HEADER - key_len ||
        (self->of_free &&
         word(node + NODE_HEADER) - 1 >= self->txn)) /* 0 is read again and again */
        return wrong(self, "it is damaged: an entry");
    self->counted.entries++;
    if (flags == BIG)
        return check_big(self, word(value), len);
    return !self->of_free || check_free(self, value, len);
}

/* NULL: there is none. The first key of a page of branches counts for nothing: LMDB takes it for
 * less than any other. */
static const uint8_t *node_at(struct check *self, const uint8_t *bytes, size_t i, unsigned level,
                              struct key *key)
{
    size_t upper = half(bytes + sizeof(size_t) + 6);
    size_t offset = half(bytes + PAGE_HEADER + i * 2);
    bool ignored = i == 0 && level < self->db->depth;
    if (offset < upper || offset % 2 || offset + NODE_HEADER > self->page_size) {
        (void)wrong(self, "it is damaged: an entry lies outside its page");
        return NULL;
    }
    const uint8_t *node = bytes + offset;
    *key = (struct key){node + NODE_HEADER, half(node + 6)};
    if (key->len > KEY_MAX || NODE_HEADER + key->len > self->page_size - offset ||
        (!ignored && (self->of_free ? key->len != sizeof(size_t) : key->len == 0))) {
        (void)wrong(self, "it is damaged: an entry");
        return NULL;
    }
    return node;
}

static bool check_child(struct check *self, const uint8_t *node, unsigned level, struct range range)
{
    size_t child = half(node) | (size_t)half(node + 2) << 16;
    if (sizeof(size_t) > 4)
        child |= (size_t)((uint64_t)half(node + 4) << 32);
    return check_page(self, child, level + 1, range);
}

static bool check_nodes(struct check *self, const uint8_t *bytes, unsigned level, size_t count,
                        struct range range)
{
    struct key key, next = {0};
    bool leaf = level == self->db->depth;
    const uint8_t *node = node_at(self, bytes, 0, level, &key), *after = NULL;
    if (!leaf)
        key = range.from;
    for (size_t i = 0; node; i++, node = after, key = next) {
        next = range.to;
        after = i + 1 < count ? node_at(self, bytes, i + 1, level, &next) : NULL;
        if (self->wrong)
            return false;
        if ((i == 0 && leaf && range.from.bytes && before(self, key, range.from)) ||
            (key.bytes && next.bytes && !before(self, key, next)))
            return wrong(self, "it is damaged: its keys are out of order");
        bool good =
            leaf ? check_leaf_node(self, node, self->page_size - (size_t)(node - bytes), key.len)
                 : check_child(self, node, level, (struct range){key, next});
        if (!good)
            return false;
    }
    return !self->wrong;
}

static bool check_page(struct check *self, size_t page, unsigned level, struct range range)
{
    if (!see(self, page))
        return false;
    uint8_t *bytes = p2p__alloc(self->page_size);
    bool good = bytes ? read_at(self, page, 1, bytes) : wrong(self, "no memory to check it");
    bool leaf = level == self->db->depth;
    if (bytes && good) {
        size_t lower = half(bytes + sizeof(size_t) + 4), upper = half(bytes + sizeof(size_t) + 6);
        size_t count = lower < PAGE_HEADER ? 0 : (lower - PAGE_HEADER) / 2;
        self->counted.leaves += leaf;
        self->counted.branches += !leaf;
        if (word(bytes) != page || half(bytes + sizeof(size_t) + 2) != (leaf ? LEAF : BRANCH))
            good = wrong(self, "it is damaged: a page is of another kind");
        else if (lower < PAGE_HEADER || lower % 2 || upper < lower || upper > self->page_size)
            good = wrong(self, "it is damaged: a page's bounds");
        else if (count == 0 || (!leaf && count < 2))
            good = wrong(self, "it is damaged: an empty page");
        good = good && check_nodes(self, bytes, level, count, range);
    }
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
    return check_page(self, db->root, 1, (struct range){0}) &&
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
    if (self.last > self.pages + TAIL_MAX)
        return "it is damaged: it ends too early";
    self.txn = meta->txn;
    self.seen = p2p__alloc(self.last / 8 + 1);
    if (!self.seen)
        return "no memory to check it";
    /* The free pages last: none of them may have been met. */
    if (check_db(&self, &meta->dbs[MAIN_DB], false))
        (void)check_db(&self, &meta->dbs[FREE_DB], true);
    p2p__free(self.seen);
    return self.wrong;
}
