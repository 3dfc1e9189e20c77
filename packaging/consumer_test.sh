#!/usr/bin/env bash
# Installs the build folder $1 into a temporary prefix and builds a small user of the library in
# each way that users have: pkg-config (C and C++), find_package, and plain -I -L -l.
set -euo pipefail

build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/moved
cmake --install "$build" --prefix "$work/installed" >"$work/install.log"
mv "$work/installed" "$prefix" # an installed tree may be moved
libdir=$(dirname "$(find "$prefix" -name libp2p.so)")
export LD_LIBRARY_PATH=$libdir PKG_CONFIG_PATH=$libdir/pkgconfig

cat >"$work/consumer.c" <<'END'
#include <p2p/error.h>
#include <stdio.h>
int main(void)
{
    return puts(p2p_code_name(P2P_ECONN)) < 0;
}
END

run() {
    local got
    got=$("$1")
    [ "$got" = ECONN ] || { echo "$1 printed '$got'"; exit 1; }
    echo "ok $(basename "$1")"
}

# shellcheck disable=SC2046 # the flags are words
cc -std=c99 -Wall -Werror "$work/consumer.c" -o "$work/by-pkg-config" \
    $(pkg-config --cflags --libs libp2p)
run "$work/by-pkg-config"

if command -v c++ >/dev/null; then
    # shellcheck disable=SC2046
    c++ -std=c++17 -Wall -Werror -x c++ "$work/consumer.c" -x none -o "$work/by-pkg-config-c++" \
        $(pkg-config --cflags --libs libp2p)
    run "$work/by-pkg-config-c++"
fi

cc "$work/consumer.c" -I"$prefix/include" -L"$libdir" -lp2p -o "$work/by-plain-flags"
run "$work/by-plain-flags"

cat >"$work/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.20)
project(consumer C)
find_package(libp2p 0.1 REQUIRED)
add_executable(by-find-package consumer.c)
target_link_libraries(by-find-package PRIVATE p2p::p2p)
END
cmake -S "$work" -B "$work/b" -DCMAKE_PREFIX_PATH="$prefix" >"$work/cmake.log" ||
    { cat "$work/cmake.log"; exit 1; }
cmake --build "$work/b" >"$work/cmake.log" || { cat "$work/cmake.log"; exit 1; }
run "$work/b/by-find-package"

if [ -x "$build/p2p" ]; then # the command needs nothing of the build folder
    cp "$build/p2p" "$work/p2p-alone"
    env -u LD_LIBRARY_PATH "$work/p2p-alone" version >"$work/version"
    "$prefix/bin/p2p" version | cmp - "$work/version"
    echo "ok p2p version"
fi
