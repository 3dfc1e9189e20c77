/* Text from a remote: is it UTF-8, and how can it be printed without harm. */
#ifndef P2P_CODEC_UTF8_H
#define P2P_CODEC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Well-formed per Unicode: no overlong forms, no surrogates, nothing above U+10FFFF. NUL is a
 * character like any other. */
bool p2p__utf8_valid(const void *text, size_t text_len);

/* Valid UTF-8 without control characters: what a name in an address may hold. */
bool p2p__utf8_printable(const void *text, size_t text_len);

/* For terminals and logs: control characters (C0, DEL, C1), characters that reorder or break lines
 * (bidirectional marks, line separators) and bytes that are not UTF-8 become \xNN, a backslash
 * becomes two. Returns the characters needed without the NUL. Like snprintf, writes what fits,
 * never half of a character or escape, and ends it with NUL when out_cap > 0. */
size_t p2p__escape(const void *text, size_t text_len, char *out, size_t out_cap);

#endif
