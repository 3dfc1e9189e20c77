#!/usr/bin/env python3
"""Runs clang-tidy over the product's sources, in parallel: tidy.py BUILD [FILE...]

A file that passed is not looked at again until it, a header that it includes, or .clang-tidy
changes; BUILD holds compile_commands.json and these notes. Tests, fuzz targets and benchmarks are
left to the compilers and sanitizers.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

import sources

FOLDERS = ("src", "cli", "daemon", "examples")


def closure(path, seen):
    """The file and every project file that it includes."""
    if path in seen:
        return
    seen.add(path)
    for _, is_system, name in sources.includes(path):
        target = sources.resolve(sources.ROOT, path, is_system, name)
        if target:
            closure(target, seen)


def fingerprint(path, salt):
    seen = set()
    closure(path, seen)
    digest = hashlib.sha256(salt)
    for part in sorted(seen):
        digest.update(str(part).encode() + b"\0" + part.read_bytes())
    return digest.hexdigest()


def tidy(build, path):
    begin = time.monotonic()
    done = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), str(path)],
                          capture_output=True, text=True)
    return path, done, time.monotonic() - begin


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    only = {pathlib.Path(p).resolve() for p in sys.argv[2:]}
    commands = json.loads((build / "compile_commands.json").read_text())
    paths = sorted({pathlib.Path(c["file"]).resolve() for c in commands})
    paths = [p for p in paths if p.is_relative_to(sources.ROOT)
             and p.relative_to(sources.ROOT).parts[0] in FOLDERS
             and not p.name.endswith("_test.c") and (not only or p in only)]
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    salt = version + (sources.ROOT / ".clang-tidy").read_bytes()
    notes = build / "tidy-passed.json"
    passed = json.loads(notes.read_text()) if notes.exists() else {}
    prints = {p: fingerprint(p, salt) for p in paths}
    stale = [p for p in paths if passed.get(str(p)) != prints[p]]
    stale.sort(key=lambda p: -p.stat().st_size)  # the long ones first, so that the end is even
    wrong, slowest = 0, (0, "")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, done, seconds in pool.map(lambda p: tidy(build, p), stale):
            if done.returncode == 0:
                passed[str(path)] = prints[path]
            else:
                wrong += 1
                print(done.stdout or done.stderr, end="")
            slowest = max(slowest, (seconds, path.name))
    notes.write_text(json.dumps({k: v for k, v in passed.items() if pathlib.Path(k).exists()}))
    print(f"{len(paths)} files, {len(stale)} looked at, {wrong} wrong"
          + (f", slowest {slowest[1]} {slowest[0]:.1f} s" if stale else ""))
    if wrong and b"version 14." not in version:
        print("clang-tidy 14 decides; with this version it is only a hint")
        wrong = 0
    return 1 if wrong or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
