#!/usr/bin/env python3
"""Holds every file to the direction of dependency (the order of p2p_layers() in
CMakeLists.txt).

- src/<layer>/ includes its own layer and those below, written relative to src/ ("base/buf.h");
- cli/, daemon/ and examples/ include <p2p/...>, system headers and files of their own folder;
- public headers include public and system headers only;
- only src/io/ (and <p2p/uv.h>) knows what a socket, a clock or an event loop is.
"""

import sys

import sources

WORLD = {"uv.h", "ares.h", "netdb.h", "time.h", "sys/time.h", "sys/socket.h", "sys/un.h",
         "sys/ioctl.h", "sys/epoll.h", "sys/select.h", "sys/timerfd.h", "sys/eventfd.h", "sys/random.h",
         "poll.h", "ifaddrs.h", "unistd.h", "fcntl.h", "p2p/uv.h"}
WORLD_FOLDERS = ("netinet/", "arpa/", "net/", "linux/")
# Who else may: a key file is created with the right mode and never over another.
EXCEPTIONS = {"src/codec/key_store.c": {"unistd.h", "fcntl.h"},
              # Key files are read before there is a host; a pipe is given a moment to be written.
              "src/codec/file_head.c": {"unistd.h", "fcntl.h", "poll.h"},
              "src/codec/file_head_test.c": {"unistd.h", "fcntl.h"},
              "src/codec/psk_test.c": {"unistd.h"},
              "src/codec/key_store_test.c": {"unistd.h", "fcntl.h"},
              # It kills its children.
              "src/store/store_test.c": {"unistd.h"},
              "src/codec/key_file_test.c": {"unistd.h", "fcntl.h"},
              "include/p2p/uv.h": {"uv.h"}}


def is_world(name):
    return name in WORLD or name.startswith(WORLD_FOLDERS)


def check_library(path, rel, order):
    layer = rel.parts[1]
    if layer not in order:
        yield 1, f"src/{layer} is not a layer of p2p_layers() in CMakeLists.txt"
        return
    for line, is_system, name in sources.includes(path):
        if is_system:
            if is_world(name) and layer != "io" and name not in EXCEPTIONS.get(str(rel), ()):
                yield line, f"<{name}> belongs to src/io/ only"
            continue
        if name.startswith("tests/") and path.name.endswith(("_test.c", "_test.h")):
            continue
        target = name.split("/")[0]
        if "/" not in name or target not in order:
            yield line, f'"{name}" is not written as "<layer>/file.h"'
        elif order.index(target) > order.index(layer):
            yield line, f'"{name}": {layer} is below {target} and may not include it'
        elif not (sources.ROOT / "src" / name).is_file():
            yield line, f'"{name}" does not exist below src/'


def check_public(path, rel):
    for line, is_system, name in sources.includes(path):
        if not is_system:
            yield line, f'"{name}": a public header includes <p2p/...> and system headers only'
        elif is_world(name) and name not in EXCEPTIONS.get(str(rel), ()):
            yield line, f"<{name}> in a public header ties every user to it"


def check_user(path, rel):
    for line, is_system, name in sources.includes(path):
        if not is_system and not (path.parent / name).is_file():
            yield line, f'"{name}": {rel.parts[0]}/ may include <p2p/...>, system headers and itself'
        elif not is_system and ".." in name.split("/"):
            yield line, f'"{name}" leaves {rel.parts[0]}/'


def main():
    root = sources.ROOT
    order = sources.layers(root)
    checked, wrong = 0, 0
    for path in sources.files(root, "src", "include", "cli", "daemon", "examples"):
        rel = path.relative_to(root)
        if rel.parts[0] == "src":
            if len(rel.parts) < 3:
                found = [(1, "a source lives in a layer's folder below src/")]
            else:
                found = check_library(path, rel, order)
        elif rel.parts[0] == "include":
            found = check_public(path, rel)
        else:
            found = check_user(path, rel)
        for line, message in found:
            print(f"{rel}:{line}: {message}")
            wrong += 1
        checked += 1
    print(f"{checked} files, {wrong} wrong")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
