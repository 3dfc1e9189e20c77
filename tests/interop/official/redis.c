/* As much of Redis as two processes need to share one value, on a blocking socket.
 *
 * The contracts say only that the listener sets a value and the dialer polls for it. In deed the
 * transport applications use a list (RPUSH, BLPOP), the perf applications a string (SET, GET): we
 * write what the others of our kind read, and read both. */
#define _GNU_SOURCE
#include "app.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    WORDS_MAX = 3,
    LINE_MAX_LEN = 256,
    POLL_MS = 25,
    ANSWER_S = 10,
};

enum reply {
    REPLY_OK,         /* a status, a number, or a bulk string, which is in `value` */
    REPLY_NIL,        /* there is none */
    REPLY_WRONG_TYPE, /* the key holds something else than the command is for */
    REPLY_FAILED,     /* the server, or the connection to it: `why` */
};

struct redis {
    int fd;
    char buffer[LINE_MAX_LEN];
    size_t len, at;
    char *value;
    size_t cap;
    const char *why;
};

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
}

/* ---- the connection ---- */

static int connect_once(const struct settings *settings)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    struct timeval patience = {.tv_sec = ANSWER_S};
    int fd = -1;
    if (getaddrinfo(settings->redis_host, settings->redis_port, &hints, &found) != 0)
        return -1;
    for (struct addrinfo *it = found; it && fd < 0; it = it->ai_next) {
        fd = socket(it->ai_family, it->ai_socktype | SOCK_CLOEXEC, it->ai_protocol);
        if (fd >= 0 && connect(fd, it->ai_addr, it->ai_addrlen) < 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

/* The containers start together: the server, or its name, may come a little later. */
static bool redis_open(struct redis *self, const struct settings *settings, long until_ms)
{
    *self = (struct redis){.fd = -1};
    do {
        self->fd = connect_once(settings);
        if (self->fd >= 0)
            return true;
        pause_ms(POLL_MS);
    } while (now_ms() < until_ms);
    self->why = "no connection to the Redis server";
    return false;
}

/* ---- what comes: RESP ---- */

static int next_byte(struct redis *self)
{
    if (self->at == self->len) {
        ssize_t n = recv(self->fd, self->buffer, sizeof(self->buffer), 0);
        if (n <= 0)
            return -1;
        self->len = (size_t)n;
        self->at = 0;
    }
    return (unsigned char)self->buffer[self->at++];
}

static bool read_line(struct redis *self, char line[LINE_MAX_LEN])
{
    size_t len = 0;
    for (;;) {
        int byte = next_byte(self);
        if (byte < 0 || len == LINE_MAX_LEN - 1)
            return false;
        if (byte == '\n')
            break;
        line[len++] = (char)byte;
    }
    if (len && line[len - 1] == '\r')
        len--;
    line[len] = '\0';
    return true;
}

static enum reply read_bulk(struct redis *self, const char *length)
{
    long len = strtol(length, NULL, 10);
    if (len < 0)
        return REPLY_NIL;
    if ((size_t)len >= self->cap) {
        self->why = "the value in Redis is too long";
        return REPLY_FAILED;
    }
    for (long i = 0; i < len + 2; i++) { /* "\r\n" ends it */
        int byte = next_byte(self);
        if (byte < 0)
            return REPLY_FAILED;
        if (i < len)
            self->value[i] = (char)byte;
    }
    self->value[len] = '\0';
    return REPLY_OK;
}

static enum reply read_reply(struct redis *self)
{
    char line[LINE_MAX_LEN];
    self->why = "the Redis server does not answer";
    if (!read_line(self, line))
        return REPLY_FAILED;
    switch (line[0]) {
    case '+':
    case ':':
        return REPLY_OK;
    case '$':
        return read_bulk(self, line + 1);
    case '-':
        self->why = "the Redis server refuses the command";
        return strncmp(line + 1, "WRONGTYPE", 9) == 0 ? REPLY_WRONG_TYPE : REPLY_FAILED;
    default:
        self->why = "the Redis server's answer is not one to the command";
        return REPLY_FAILED;
    }
}

/* ---- what leaves ---- */

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static enum reply command(struct redis *self, const char *const *words, size_t count)
{
    char text[WORDS_MAX * (ADDR_MAX + 16) + 16];
    int len = snprintf(text, sizeof(text), "*%zu\r\n", count);
    for (size_t i = 0; i < count && len < (int)sizeof(text); i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "$%zu\r\n%s\r\n", strlen(words[i]),
                        words[i]);
    if (len >= (int)sizeof(text)) {
        self->why = "too long for Redis";
        return REPLY_FAILED;
    }
    if (!send_all(self->fd, text, (size_t)len)) {
        self->why = "the connection to the Redis server broke";
        return REPLY_FAILED;
    }
    return read_reply(self);
}

/* ---- the value ---- */

bool redis_publish(const struct settings *settings, const char *value, const char **why)
{
    const char *const forget[] = {"DEL", settings->key};
    const char *const publish[] = {settings->perf ? "SET" : "RPUSH", settings->key, value};
    struct redis redis;
    *why = NULL;
    if (!redis_open(&redis, settings, now_ms() + settings->timeout_ms))
        *why = redis.why;
    else if (command(&redis, forget, 2) != REPLY_OK || command(&redis, publish, 3) != REPLY_OK)
        *why = redis.why;
    if (redis.fd >= 0)
        close(redis.fd);
    return !*why;
}

static enum reply look(struct redis *redis, const struct settings *settings)
{
    const char *const get[] = {"GET", settings->key};
    const char *const pop[] = {"LPOP", settings->key};
    enum reply reply = command(redis, get, 2);
    return reply == REPLY_WRONG_TYPE ? command(redis, pop, 2) : reply;
}

bool redis_await(const struct settings *settings, char *value, size_t cap, const char **why)
{
    long until_ms = now_ms() + settings->timeout_ms;
    struct redis redis;
    enum reply reply = REPLY_FAILED;
    *why = NULL;
    if (redis_open(&redis, settings, until_ms)) {
        redis.value = value;
        redis.cap = cap;
        while ((reply = look(&redis, settings)) == REPLY_NIL && now_ms() < until_ms)
            pause_ms(POLL_MS);
    }
    if (redis.fd >= 0)
        close(redis.fd);
    if (reply == REPLY_NIL)
        *why = "the listener has told no address in time";
    else if (reply != REPLY_OK)
        *why = redis.why;
    return reply == REPLY_OK;
}
