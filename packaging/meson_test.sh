#!/usr/bin/env bash
# Builds the consumer with the library as a Meson subproject, and installs it as one of Meson's own.
# 77: there is no Meson.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v meson >/dev/null || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() {
    echo "$*" >&2
    exit 1
}

quietly() {
    "$@" >"$work/log" 2>&1 || { tail -n 100 "$work/log"; die "failed: $*"; }
}

mkdir "$work/subprojects"
ln -s "$(dirname "$here")" "$work/subprojects/libp2p"
cp "$here/consumer.c" "$work"
cat >"$work/meson.build" <<'END2'
project('consumer', 'c', default_options: ['c_std=c99', 'werror=true'])
executable('by-meson', 'consumer.c',
  dependencies: dependency('libp2p', version: '>=0.1', fallback: ['libp2p', 'libp2p_dep']))
END2
quietly meson setup "$work/b" "$work" --buildtype=debug -Doptimization=0 --prefix="$work/prefix"
quietly ninja -C "$work/b" -j2
[ "$("$work/b/by-meson")" = ECONN ] || die "by-meson does not run"
echo "ok by-meson"

# The same library as CMake's: what it shows, its name, and what is built in.
built=$(find "$work/b" -name 'libp2p.so.*.*' ! -name '*.symbols' -type f)
show() { nm -PD --defined-only "$1" | cut -d' ' -f1,2; }
diff <(show "$1/libp2p.so") <(show "$built") || die "Meson's library shows other symbols than CMake's"
readelf -d "$built" | grep -q 'soname: \[libp2p\.so\.0\]' || die "Meson's library has another soname"
quietly meson install -C "$work/b"
cc "$work/consumer.c" -o "$work/installed" $(PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name libp2p.pc)") \
    pkg-config --cflags --libs libp2p)
LD_LIBRARY_PATH=$(dirname "$(find "$work/prefix" -name libp2p.so)") "$work/installed" | grep -q ECONN
echo "ok meson install"
