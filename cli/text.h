/* Text that grows: lines for people, and JSON for programs. Out of memory ends the program. */
#ifndef P2P_CLI_TEXT_H
#define P2P_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data; /* NUL-terminated once anything was added */
    size_t len, cap;
    bool comma; /* JSON: something stands before the next value */
};

void text_free(struct text *self);
void text_add(struct text *self, const char *string);
void text_add_n(struct text *self, const char *bytes, size_t len);
__attribute__((format(printf, 2, 3))) void text_addf(struct text *self, const char *format, ...);
/* For a terminal: what could control it (and what is not UTF-8) becomes \xNN. */
void text_add_safe(struct text *self, const char *string);
/* value / 10^digits, exactly, without trailing zeros. */
void text_add_decimal(struct text *self, uint64_t value, unsigned digits);
/* "1.5 MiB". */
void text_add_bytes(struct text *self, double bytes);

/* One object a line. key NULL: an item of a list. */
void json_begin(struct text *self, const char *event);
void json_end(struct text *self);
/* NULL becomes null. Control characters are escaped, and what is not UTF-8 becomes U+FFFD. */
void json_string(struct text *self, const char *key, const char *value);
/* Above 2^53, where others lose digits, a string. */
void json_uint(struct text *self, const char *key, uint64_t value);
void json_decimal(struct text *self, const char *key, uint64_t value, unsigned digits);
void json_bool(struct text *self, const char *key, bool value);
void json_open(struct text *self, const char *key, char bracket);
void json_close(struct text *self, char bracket);

#endif
