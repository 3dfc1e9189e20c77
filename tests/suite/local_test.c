/* Hosts that meet without a network: by number, by path, over descriptors. */
#include "tests/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/world.h"

#include "tests/echo.h"

struct outcome {
    int calls, code, attempts;
    char message[400];
};

static void on_done(void *user, const p2p_error *why)
{
    struct outcome *self = user;
    self->calls++;
    self->code = why ? why->code : 0;
    snprintf(self->message, sizeof(self->message), "%s", why ? why->message : "");
}

static bool called(void *user)
{
    return ((struct outcome *)user)->calls > 0;
}

static int listen_on(p2p_host *host, const char *text, char *why, size_t why_cap)
{
    p2p_multiaddr addr;
    p2p_error *err = NULL;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    int rc = p2p_host_listen(host, &addr, &err);
    snprintf(why, why_cap, "%s", err ? err->message : "");
    p2p_error_free(err);
    return rc;
}

/* The host's last address, with its peer id. */
static void last_addr(const p2p_host *host, char *out, size_t out_cap)
{
    p2p_multiaddr addr;
    size_t count = 0;
    while (p2p_host_addr(host, count, &addr) == 0)
        count++;
    assert_int_equal(p2p_host_addr(host, count - 1, &addr), 0);
    assert_true(p2p_multiaddr_format(&addr, out, out_cap) > 0);
}

static void echo_over(struct world *world, p2p_host *a, p2p_host *b, const char *target)
{
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    struct side side = {.to_send = 300000};
    open_echo(a, target, &side);
    assert_true(world_until(world, closed, &side, 10000));
    assert_int_equal(side.close_code, 0);
    assert_int_equal(side.got, 300000);
}

static int connect_to(struct world *world, p2p_host *host, const char *target, struct outcome *out)
{
    *out = (struct outcome){0};
    assert_non_null(p2p_host_connect(host, target, NULL, on_done, out));
    assert_true(world_until(world, called, out, 20000));
    return out->code;
}

static void test_by_number(void **state)
{
    struct world world;
    struct outcome out;
    char why[300], target[300], at_b[300];
    p2p_multiaddr addr;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(listen_on(b, "/memory/0", why, sizeof(why)), 0);
    last_addr(b, target, sizeof(target));
    assert_int_equal(strncmp(target, "/memory/0/", 10) == 0, 0);
    echo_over(&world, a, b, target);
    p2p_conn_remote_addr(p2p_host_conn(b, p2p_host_peer(a)), &addr);
    assert_true(p2p_multiaddr_format(&addr, at_b, sizeof(at_b)) > 0);
    assert_int_equal(strncmp(target, at_b, strlen(at_b)), 0);
    snprintf(at_b, sizeof(at_b), "%.*s", (int)(strstr(target, "/p2p/") - target), target);
    assert_int_equal(listen_on(a, at_b, why, sizeof(why)), P2P_ELISTEN); /* it is taken */
    assert_non_null(strstr(why, at_b));
    snprintf(at_b, sizeof(at_b), "/memory/12345%s", strstr(target, "/p2p/"));
    p2p_conn_close(p2p_host_conn(a, p2p_host_peer(b)));
    world_run(&world, 2000);
    assert_int_equal(connect_to(&world, a, at_b, &out), P2P_ECONN);
    assert_non_null(strstr(out.message, "/memory/12345"));
    world_fini(&world);
}

static char folder[] = "/tmp/p2p-local-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails if something was left there */
}

static void test_by_path(void **state)
{
    struct world world;
    struct stat status;
    struct outcome out;
    char path[100], text[200], why[300], target[300];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(text, sizeof(text), "/unix%s", path);
    assert_int_equal(listen_on(b, text, why, sizeof(why)), 0);
    last_addr(b, target, sizeof(target));
    assert_int_equal(strncmp(target, text, strlen(text)), 0);
    if (world.kind == WORLD_UV) {
        assert_int_equal(stat(path, &status), 0);
        assert_true(S_ISSOCK(status.st_mode));
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    echo_over(&world, a, b, target);
    assert_int_equal(listen_on(a, text, why, sizeof(why)), P2P_ELISTEN); /* alive */
    assert_non_null(strstr(why, "in use"));
    snprintf(text, sizeof(text), "/unix%s/nobody%s", folder, strstr(target, "/p2p/"));
    p2p_conn_close(p2p_host_conn(a, p2p_host_peer(b)));
    world_run(&world, 2000);
    assert_int_equal(connect_to(&world, a, text, &out), P2P_ECONN);
    assert_non_null(strstr(out.message, "nobody: No such file"));
    world_fini(&world);
    assert_int_equal(stat(path, &status), -1); /* removed */
}

static void test_a_path_too_long(void **state)
{
    struct world world;
    char text[300], why[400];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    size_t prefix = (size_t)snprintf(text, sizeof(text), "/unix%s/", folder);
    memset(text + prefix, 'x', sizeof(text) - prefix);
    text[strlen("/unix") + 107] = '\0';
    assert_int_equal(listen_on(a, text, why, sizeof(why)), 0);
    text[strlen("/unix") + 107] = 'x';
    text[strlen("/unix") + 108] = '\0';
    assert_int_equal(listen_on(a, text, why, sizeof(why)), P2P_EADDR);
    assert_non_null(strstr(why, "at most 107 bytes"));
    world_fini(&world);
}

/* What a killed program left is taken over; anything else is nobody's to remove. */
static void test_a_file_that_is_there_already(void **state)
{
    struct world world;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char path[100], text[200], why[300];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(text, sizeof(text), "/unix%s", path);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(listen_on(a, text, why, sizeof(why)), P2P_ELISTEN);
    assert_int_equal(unlink(path), 0);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(listen_on(a, text, why, sizeof(why)), P2P_ELISTEN); /* somebody else's */
    close(fd);
    assert_int_equal(listen_on(a, text, why, sizeof(why)), 0);
    world_fini(&world);
    assert_int_equal(access(path, F_OK), -1);
}

/* Every other process is refused, whatever it knows. */
static void test_a_number_is_this_process_only(void **state)
{
    struct world world;
    char why[300];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    assert_int_equal(listen_on(a, "/memory/77", why, sizeof(why)), 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int n =
        snprintf(to.sun_path + 1, sizeof(to.sun_path) - 1, "libp2p/memory/%ld/77", (long)getpid());
    pid_t child = fork();
    if (child == 0) {
        char byte;
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        int rc = connect(fd, (struct sockaddr *)&to,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n));
        _exit(rc != 0 ? 2 : read(fd, &byte, 1) > 0); /* nothing is said to it */
    }
    int status = -1;
    for (int i = 0; i < 200 && waitpid(child, &status, WNOHANG) == 0; i++)
        world_run(&world, 20);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_null(p2p_host_conn_at(a, 0));
    world_fini(&world);
}

/* ---- descriptors ---- */

static void over_fds(struct world *world, const int a_fds[2], const int b_fds[2])
{
    struct outcome out[2] = {0};
    char peer[P2P_PEER_ID_TEXT_MAX], text[64];
    p2p_multiaddr addr;
    p2p_host *a = world_host(world, NULL), *b = world_host(world, NULL);
    assert_non_null(
        p2p_host_connect_fds(a, a_fds[0], a_fds[1], p2p_host_peer(b), on_done, &out[0]));
    assert_non_null(p2p_host_accept_fds(b, b_fds[0], b_fds[1], on_done, &out[1]));
    assert_true(world_until(world, called, &out[0], 5000));
    assert_true(world_until(world, called, &out[1], 5000));
    assert_int_equal(out[0].code, 0);
    assert_int_equal(out[1].code, 0);
    p2p_peer_id_format(p2p_host_peer(b), peer, sizeof(peer));
    echo_over(world, a, b, peer);
    p2p_conn_remote_addr(p2p_host_conn(a, p2p_host_peer(b)), &addr);
    assert_int_equal(p2p_multiaddr_format(&addr, text, sizeof(text)), 1); /* "/": it has none */
    p2p_conn_close(p2p_host_conn(a, p2p_host_peer(b)));
    world_run(world, 1500);
    assert_null(p2p_host_conn_at(b, 0));
}

static void test_one_socket_each(void **state)
{
    struct world world;
    int pair[2];
    world_init(&world, kind_of(state), 1, false);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    over_fds(&world, (int[]){pair[0], pair[0]}, (int[]){pair[1], pair[1]});
    world_fini(&world);
}

static void test_a_pipe_each_way(void **state)
{
    struct world world;
    int there[2], back[2];
    world_init(&world, kind_of(state), 1, false);
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    over_fds(&world, (int[]){back[0], there[1]}, (int[]){there[0], back[1]});
    world_fini(&world);
}

static int use_fds(struct world *world, p2p_host *host, int read_fd, int write_fd,
                   const p2p_peer_id *peer, struct outcome *out)
{
    *out = (struct outcome){0};
    assert_non_null(p2p_host_connect_fds(host, read_fd, write_fd, peer, on_done, out));
    assert_true(world_until(world, called, out, 20000));
    return out->code;
}

static void test_descriptors_that_cannot_be_used(void **state)
{
    struct world world;
    struct outcome out;
    int pair[2], file;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    assert_int_equal(use_fds(&world, a, 9999, 9999, NULL, &out), P2P_ECONN);
    assert_non_null(strstr(out.message, "descriptor"));
    file = open("/proc/self/exe", O_RDONLY);
    assert_int_equal(use_fds(&world, a, file, file, NULL, &out), P2P_ECONN);
    assert_int_equal(fcntl(file, F_GETFD), -1); /* it was the library's */
    assert_int_equal(pipe(pair), 0);
    close(pair[1]);
    assert_int_equal(use_fds(&world, a, pair[0], open("/dev/null", O_WRONLY), NULL, &out),
                     P2P_ECONN);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    assert_true(use_fds(&world, a, pair[0], pair[0], NULL, &out) < 0); /* the end comes at once */
    /* Nobody reads what we write: an error, and no signal. */
    int there[2], back[2];
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    close(there[0]);
    assert_int_equal(use_fds(&world, a, back[0], there[1], NULL, &out), P2P_ECONN);
    assert_non_null(strstr(out.message, "broke"));
    close(back[1]);
    world_fini(&world);
}

static void test_another_peer_at_the_other_end(void **state)
{
    struct world world;
    struct outcome out, other = {0};
    int pair[2];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_non_null(p2p_host_accept_fds(b, pair[1], pair[1], on_done, &other));
    assert_int_equal(use_fds(&world, a, pair[0], pair[0], p2p_host_peer(a), &out), P2P_EPEERID);
    world_run(&world, 100);
    assert_true(other.code < 0);
    /* Cancelled in mid-handshake: told once, descriptors closed. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    other = (struct outcome){0};
    p2p_op *op = p2p_host_connect_fds(a, pair[0], pair[0], NULL, on_done, &other);
    world_run(&world, 10);
    p2p_op_cancel(op);
    assert_true(world_until(&world, called, &other, 1000));
    assert_int_equal(other.code, P2P_ECANCELED);
    world_run(&world, 50);
    char bytes[200];
    while (read(pair[1], bytes, sizeof(bytes)) > 0)
        continue;
    close(pair[1]);
    /* And while the host closes. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    other = (struct outcome){0};
    assert_non_null(p2p_host_connect_fds(a, pair[0], pair[0], NULL, on_done, &other));
    world_fini(&world);
    assert_int_equal(other.calls, 1);
    assert_int_equal(other.code, P2P_ECANCELED);
    close(pair[1]);
}

static void test_there_are_none_in_a_simulation(void **state)
{
    struct world world;
    struct outcome out;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    assert_int_equal(use_fds(&world, a, -1, -1, NULL, &out), P2P_ENOTSUP);
    world_fini(&world);
}

/* ---- two loops, two threads ---- */

struct other_thread {
    p2p_host *host;
    pthread_barrier_t ready;
    char target[300];
};

static void on_closed(void *user, const p2p_error *why)
{
    struct other_thread *self = user;
    (void)why;
    pthread_barrier_wait(&self->ready);
}

static void test_hosts_on_two_threads(void **state)
{
    struct world world;
    struct other_thread other;
    char why[200];
    p2p_config *config = p2p_config_new();
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    assert_int_equal(pthread_barrier_init(&other.ready, NULL, 2), 0);
    assert_int_equal(p2p_config_set(config, "listen", "/memory/4711", why, sizeof(why)), 0);
    assert_int_equal(p2p_config_set(config, "services", "echo", why, sizeof(why)), 0);
    assert_int_equal(p2p_host_new(config, NULL, &other.host, NULL), 0);
    p2p_config_free(config);
    char peer[P2P_PEER_ID_TEXT_MAX];
    p2p_peer_id_format(p2p_host_peer(other.host), peer, sizeof(peer));
    snprintf(other.target, sizeof(other.target), "/memory/4711/p2p/%s", peer);
    struct side side = {.to_send = 1000000};
    const char *protocol = "/p2p/echo/1.0.0";
    side.stream = p2p_host_open(a, other.target, &protocol, 1, NULL, &client_events, &side);
    assert_non_null(side.stream);
    pump(&side);
    assert_true(world_until(&world, closed, &side, 10000));
    assert_int_equal(side.got, 1000000);
    p2p_host_close(other.host, on_closed, &other);
    pthread_barrier_wait(&other.ready);
    pthread_barrier_destroy(&other.ready);
    world_fini(&world);
}

#define ONLY(world_name, kind, test)                                                               \
    {                                                                                              \
#test "/" world_name, test, NULL, NULL, (void *)kind                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_by_number),
        BOTH(test_by_path),
        ONLY("uv", WORLD_UV, test_a_path_too_long),
        ONLY("uv", WORLD_UV, test_a_file_that_is_there_already),
        ONLY("uv", WORLD_UV, test_a_number_is_this_process_only),
        ONLY("uv", WORLD_UV, test_one_socket_each),
        ONLY("uv", WORLD_UV, test_a_pipe_each_way),
        ONLY("uv", WORLD_UV, test_descriptors_that_cannot_be_used),
        ONLY("uv", WORLD_UV, test_another_peer_at_the_other_end),
        ONLY("sim", WORLD_SIM, test_there_are_none_in_a_simulation),
        ONLY("uv", WORLD_UV, test_hosts_on_two_threads),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
