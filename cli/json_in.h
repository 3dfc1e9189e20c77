/* Reads JSON: one value, as a tree. Strict: what RFC 8259 does not allow is refused. */
#ifndef P2P_CLI_JSON_IN_H
#define P2P_CLI_JSON_IN_H

#include <stdbool.h>
#include <stddef.h>

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_LIST,
    JSON_OBJECT,
};

struct json_value {
    enum json_type type;
    const char *key;  /* in an object, or NULL */
    const char *text; /* of a string; of a number and a bool, as it was written */
    struct json_value *first, *next;
};

struct json_doc {
    struct json_value *root; /* NULL: it was none */
    struct json_value *values;
    char *strings;
    size_t value_count;
};

/* False: it is not JSON, too deep, or there is no memory. Free it either way. */
bool json_parse(struct json_doc *self, const char *text, size_t len);
void json_free(struct json_doc *self);

/* A member of an object, the first of that name; NULL if there is none, or if value is no object or
 * NULL itself. */
const struct json_value *json_get(const struct json_value *value, const char *key);
/* Its text if it is a string, else NULL. */
const char *json_text(const struct json_value *value, const char *key);
bool json_true(const struct json_value *value, const char *key);

#endif
