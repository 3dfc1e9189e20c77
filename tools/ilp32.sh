#!/usr/bin/env bash
# Builds everything for 32-bit x86 in build-ilp32/, and runs the unit tests and the fuzz corpora there:
# lengths that a size_t cannot hold must be refused on machines with a small one, too. The 32-bit
# libraries are unpacked below build-ilp32/, so that the system stays as it is; it needs gcc-multilib.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(libssl3 libssl-dev libsodium23 libsodium-dev libsecp256k1-1 libsecp256k1-dev libuv1 libuv1-dev
    libc-ares2 libc-ares-dev libcmocka0 libcmocka-dev libgcc-s1)
dir=$PWD/build-ilp32
root=$dir/root
libs=$root/usr/lib/i386-linux-gnu

unpack() {
    mkdir -p "$dir/lists/partial" "$dir/debs"
    local options=(-q -o "APT::Architectures=i386" -o "APT::Architecture=i386" -o "Dir::State::Lists=$dir/lists"
        -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o "APT::Sandbox::User=")
    apt-get "${options[@]}" update || true # lists that cannot be renewed may be good enough
    (cd "$dir/debs" && apt-get "${options[@]}" download "${packages[@]}")
    for deb in "$dir"/debs/*.deb; do
        dpkg -x "$deb" "$root"
    done
    touch "$root/complete"
}

[ -f "$root/complete" ] || unpack

export PKG_CONFIG_LIBDIR=$libs/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root LD_LIBRARY_PATH=$libs:$root/lib/i386-linux-gnu
cmake -S . -B "$dir/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=gcc \
    -DCMAKE_C_FLAGS="-m32 -isystem $root/usr/include/i386-linux-gnu -isystem $root/usr/include" \
    -DCMAKE_EXE_LINKER_FLAGS="-L$libs -Wl,-rpath-link,$libs" \
    -DCMAKE_SHARED_LINKER_FLAGS="-L$libs -Wl,-rpath-link,$libs" \
    -DP2P_QUIC=OFF -DP2P_LMDB=OFF -DP2P_WERROR=OFF
cmake --build "$dir/build" -- -k0
ctest --test-dir "$dir/build" --no-tests=error --output-on-failure -j "$(nproc)" -L '^(unit|fuzz)$'
python3 tools/count-tests.py "$dir/build"
