#!/usr/bin/env python3
"""Checks the names that a built library shows: check-symbols.py BUILD

- libp2p.so exports p2p_<noun>_... only (no p2p__, nothing unprefixed), each declared in a public
  header, and every function that a public header declares is exported;
- what files share inside the library is called p2p__..., so it cannot clash when linked statically;
- the library is called libp2p.so.0, and what it exports has the version LIBP2P_0;
- the commands use exported functions only, although they carry the library's objects.
"""

import pathlib
import re
import subprocess
import sys

import sources


def nm(*args):
    """(kind, name) of each symbol; a name without its version, and without the versions' names."""
    out = subprocess.run(["nm", "-P", *map(str, args)], capture_output=True, text=True, check=True)
    for line in out.stdout.splitlines():
        fields = line.split()
        if len(fields) >= 2 and not line.endswith(":") and fields[1] != "A":
            yield fields[1], fields[0].split("@")[0]


def check_versions(library):
    """The name for the loader, and a version for each symbol (packaging/libp2p.map)."""
    dynamic = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True)
    if "[libp2p.so.0]" not in dynamic.stdout:
        yield "libp2p.so has another soname than libp2p.so.0"
    out = subprocess.run(["nm", "-PD", "--defined-only", library], capture_output=True, text=True)
    for line in out.stdout.splitlines():
        name, kind, *_ = line.split()
        if kind != "A" and not name.endswith("@@LIBP2P_0"):
            yield f"{name} has no version"


def declared(root):
    names = set()
    for header in sources.files(root, "include/p2p"):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(), flags=re.S)
        for declaration in re.findall(r"^P2P_API\b([^;{]*);", text, re.M):
            names.update(re.findall(r"\b(p2p_\w+)\s*\(", declaration)[:1])
            names.update(re.findall(r"^\s*extern\b.*\b(p2p_\w+)", declaration))
    return names


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    if not (build / "libp2p.so").exists():
        sys.exit("there is no libp2p.so: the build failed")
    wrong = []
    exported = {name for _, name in nm("-D", "--defined-only", build / "libp2p.so")}
    public = declared(sources.ROOT)
    for name in sorted(exported):
        if not name.startswith("p2p_") or name.startswith("p2p__"):
            wrong.append(f"libp2p.so exports {name}")
        elif name not in public:
            wrong.append(f"libp2p.so exports {name}, which no public header declares with P2P_API")
    for name in sorted(public - exported):
        wrong.append(f"{name} is declared in a public header, and libp2p.so does not export it")

    if "P2P_SANITIZE:STRING=\n" in (build / "CMakeCache.txt").read_text():
        wrong += check_versions(build / "libp2p.so")
    objects = sorted((build / "CMakeFiles").glob("l_*.dir/**/*.o"))
    for path in objects:
        for _, name in nm("-g", "--defined-only", path):
            if not name.startswith("p2p__") and name not in exported:
                where = path.relative_to(build / "CMakeFiles")
                wrong.append(f"{where}: {name} is shared inside the library: static, or p2p__...")
    for command in ("p2p-cli", "p2pd"):
        users = sorted((build / "CMakeFiles" / f"{command}.dir").glob("**/*.o"))
        own = {name for path in users for _, name in nm("-g", "--defined-only", path)}
        for path in users:
            for _, name in nm("-u", path):
                if name.startswith("p2p_") and name not in exported and name not in own:
                    wrong.append(f"{path.name} uses {name}, which is not exported")
    print("\n".join(wrong + [f"{len(exported)} exported, {len(objects)} objects, {len(wrong)} wrong"]))
    return 1 if wrong or not exported or not objects else 0


if __name__ == "__main__":
    sys.exit(main())
