#!/usr/bin/env bash
# Installs the build folder $1 as packagers and users do, and builds a small user of the library in
# each way that users have: pkg-config (C and C++), find_package, plain -I -L -l, and statically. (The
# fourth way, a Meson subproject, is meson_test.sh.)
set -euo pipefail

build=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/moved

die() {
    echo "$*" >&2
    exit 1
}

quietly() {
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; die "failed: $*"; }
}

quietly cmake --install "$build" --prefix "$work/installed"
mv "$work/installed" "$prefix" # an installed tree may be moved
libdir=$(dirname "$(find "$prefix" -name libp2p.so)")
export LD_LIBRARY_PATH=$libdir PKG_CONFIG_PATH=$libdir/pkgconfig
cp "$here/consumer.c" "$work"

run() {
    local got
    got=$("$1")
    [ "$got" = ECONN ] || die "$1 printed '$got'"
    echo "ok $(basename "$1")"
}

# --- Four ways and more ---------------------------------------------------------------------------

# shellcheck disable=SC2046 # the flags are words
cc -std=c99 -Wall -Werror "$work/consumer.c" -o "$work/by-pkg-config" \
    $(pkg-config --cflags --libs libp2p)
run "$work/by-pkg-config"
readelf -d "$work/by-pkg-config" | grep -q 'NEEDED.*\[libp2p\.so\.0\]' ||
    die "a program does not ask for libp2p.so.0"
[ "$(pkg-config --modversion libp2p)" = "$("$prefix/bin/p2p" version | sed -n 's/^p2p //p')" ] ||
    die "pkg-config has another version than p2p"

if command -v c++ >/dev/null; then
    # shellcheck disable=SC2046
    c++ -std=c++17 -Wall -Werror -x c++ "$work/consumer.c" -x none -o "$work/by-pkg-config-c++" \
        $(pkg-config --cflags --libs libp2p)
    run "$work/by-pkg-config-c++"
fi

# Only libp2p is linked statically: what it needs in turn need not exist as static libraries.
# shellcheck disable=SC2046
cc "$work/consumer.c" -o "$work/static-by-pkg-config" $(pkg-config --cflags libp2p) \
    "$libdir/libp2p.a" $(pkg-config --libs $(pkg-config --print-requires-private libp2p)) -lm -pthread
! readelf -d "$work/static-by-pkg-config" | grep -q 'libp2p\.so' || die "static, but asks for libp2p.so"
run "$work/static-by-pkg-config"

cc "$work/consumer.c" -I"$prefix/include" -L"$libdir" -lp2p -o "$work/by-plain-flags"
run "$work/by-plain-flags"

cat >"$work/CMakeLists.txt" <<'END2'
cmake_minimum_required(VERSION 3.20)
project(consumer C)
find_package(libp2p 0.1 REQUIRED COMPONENTS static)
add_executable(by-find-package consumer.c)
target_link_libraries(by-find-package PRIVATE p2p::p2p)
add_executable(static-by-find-package consumer.c)
target_link_libraries(static-by-find-package PRIVATE p2p::static)
find_package(libp2p QUIET COMPONENTS nonsense)
if(libp2p_FOUND)
  message(FATAL_ERROR "a component that is not there was found")
endif()
find_package(libp2p 0.2 QUIET)
if(libp2p_FOUND)
  message(FATAL_ERROR "a later version was found")
endif()
END2
quietly cmake -S "$work" -B "$work/b" -DCMAKE_PREFIX_PATH="$prefix"
quietly cmake --build "$work/b"
run "$work/b/by-find-package"
run "$work/b/static-by-find-package"

# --- What was installed ---------------------------------------------------------------------------

[ "$(readlink "$libdir/libp2p.so")" = libp2p.so.0 ] || die "libp2p.so does not lead to libp2p.so.0"
for file in bin/p2p include/p2p/p2p.h share/man/man1/p2p.1 share/man/man1/p2p-node.1 \
    share/man/man3/libp2p.3 share/man/man3/p2p_dial.3 share/man/man5/p2p-config.5 \
    share/bash-completion/completions/p2p share/zsh/site-functions/_p2p \
    share/fish/vendor_completions.d/p2p.fish share/doc/libp2p/LICENSE-MIT; do
    [ -s "$prefix/$file" ] || die "$file was not installed"
done
for header in "$here"/../include/p2p/*.h; do
    cmp -s "$header" "$prefix/include/p2p/${header##*/}" || die "${header##*/} was not installed"
done
# Nothing but the map of what was installed where may name the build or the sources.
if grep -rlF -e "$build" -e "$(dirname "$here")/" --include='*.pc' --include='*.cmake' --include='*.h' \
    "$prefix" >"$work/log"; then
    die "names the folder it was built in: $(cat "$work/log")"
fi
! readelf -d "$libdir/libp2p.so" "$prefix/bin/p2p" | grep -E 'RPATH|RUNPATH' || die "has a path for libraries"
echo "ok files"

# The command needs nothing of the build folder.
cp "$build/p2p" "$work/p2p-alone"
env -u LD_LIBRARY_PATH "$work/p2p-alone" version >"$work/version"
"$prefix/bin/p2p" version | cmp - "$work/version"
echo "ok p2p version"

# --- As a packager: below DESTDIR, in parts, and away again -----------------------------------------

quietly env DESTDIR="$work/dest" cmake --install "$build" --prefix /usr
[ -x "$work/dest/usr/bin/p2p" ] || die "DESTDIR was not obeyed"
(cd "$work/dest/usr" && find . ! -type d | sort) >"$work/all"
(cd "$prefix" && find . ! -type d | sort) | cmp - "$work/all"
for part in runtime development; do
    quietly env DESTDIR="$work/$part" cmake --install "$build" --prefix /usr --component $part
    (cd "$work/$part/usr" && find . ! -type d | sort) >"$work/files.$part"
done
sort "$work/files.runtime" "$work/files.development" | cmp - "$work/all"
grep -q 'libp2p\.so\.0$' "$work/files.runtime" || die "the library is not part of runtime"
! grep -qE '\.(h|a|so|pc|cmake)$' "$work/files.runtime" || die "runtime has files for development"
quietly env DESTDIR="$work/dest" cmake --install "$build" --prefix /usr
quietly env DESTDIR="$work/dest" cmake --build "$build" --target uninstall
[ -z "$(find "$work/dest" ! -type d)" ] || die "left behind: $(find "$work/dest" ! -type d | head)"
echo "ok DESTDIR, components, uninstall"
