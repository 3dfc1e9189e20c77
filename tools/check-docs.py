#!/usr/bin/env python3
"""Keeps the documentation true: check-docs.py BUILD

README.md, the other top-level *.md and docs/**/*.md are read. The word after the c of a fence says
what happens to a C snippet:

    ```c           a program (it has a main) is compiled and linked with build/libp2p.so
    ```c run       likewise, and then run: it must exit with 0 within 20 seconds
    ```c fragment  declarations and statements from the middle of a program: compiled inside a
                   function, after #include <p2p/p2p.h>, with unused variables allowed
    ```c sketch    not compiled (pseudo code, excerpts of the library's inside)

A plain ```c without a main is an error, so that nobody forgets to choose. In the whole text, every
"./dev NAME" must be a command of ./dev, every "--preset NAME" a preset, every `build/p2p NAME` a
command of p2p, and every relative link must lead to a file.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import sources

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)``` *$", re.M | re.S)
WARNINGS = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Wconversion",
            "-Wno-unused-parameter", "-Werror"]
FRAGMENT = """#include <p2p/p2p.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
void fragment(void);
void fragment(void)
{
#line %d "%s"
%s
}
"""


def compile_and_run(build, rel, line, mode, body):
    """An error message, or None."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "snippet.c"), pathlib.Path(folder, "snippet")
        if mode == "fragment":
            source.write_text(FRAGMENT % (line, rel, body))
            command = ["-fsyntax-only", "-Wno-unused", "-Wno-unused-parameter"]
        else:
            source.write_text(f'#line {line} "{rel}"\n{body}')
            command = ["-o", str(program), f"-L{build}", f"-Wl,-rpath,{build}", "-lp2p", "-luv", "-pthread"]
        done = subprocess.run(["cc", *WARNINGS, f"-I{sources.ROOT}/include", str(source), *command],
                              capture_output=True, text=True)
        if done.returncode:
            return done.stderr
        if mode == "run":
            try:
                done = subprocess.run([program], capture_output=True, text=True, timeout=20, cwd=folder,
                                      stdin=subprocess.DEVNULL)
            except subprocess.TimeoutExpired:
                return "still runs after 20 seconds\n"
            if done.returncode:
                return f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return None


def snippets(rel, text):
    """(line, mode, body) of each C fence; mode is None when nobody chose."""
    for match in FENCE.finditer(text):
        words = match["info"].split()
        if not words or words[0] != "c":
            continue
        indent = len(match["indent"])
        body = "".join(l[indent:] if l[:indent].isspace() else l
                       for l in match["body"].splitlines(keepends=True))
        mode = next((w for w in words[1:] if w in ("run", "fragment", "sketch")), None)
        if mode is None and re.search(r"\bmain\s*\(", body):
            mode = "program"
        yield text.count("\n", 0, match.start("body")) + 1, mode, body


def names(build):
    """The words that may follow ./dev, --preset and build/p2p."""
    dev = set(re.findall(r"^cmd_(\w+)\(\)", (sources.ROOT / "dev").read_text(), re.M))
    presets = {p["name"] for p in
               json.loads((sources.ROOT / "CMakePresets.json").read_text())["configurePresets"]}
    p2p = None
    if (build / "p2p").exists():
        done = subprocess.run([build / "p2p", "--help"], capture_output=True, text=True, timeout=20)
        p2p = set(re.findall(r"\w+", done.stdout + done.stderr))
    return [(r"(?<![\w/.])\./dev ([a-z]+)", dev, "./dev"), (r"--preset[ =]([a-z]+)", presets, "preset"),
            (r"\bbuild/p2p ([a-z]+)", p2p, "p2p")]


def check_text(rel, text, known):
    for pattern, allowed, what in known:
        for match in re.finditer(pattern, text):
            if allowed is not None and match[1] not in allowed:
                yield text.count("\n", 0, match.start()) + 1, f"{what} has no {match[1]!r}"
    prose = FENCE.sub(lambda m: "\n" * m[0].count("\n"), text)
    for match in re.finditer(r"\]\(([^)\s#]+)(#[^)\s]*)?\)", prose):
        target = match[1]
        if re.match(r"[a-z]+:", target):
            continue
        base = sources.ROOT if target.startswith("/") else (sources.ROOT / rel).parent
        if not (base / target.lstrip("/")).exists():
            yield prose.count("\n", 0, match.start()) + 1, f"the link to {target} leads nowhere"


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    known = names(build)
    wrong, jobs, sketches = [], [], 0
    pages = sorted(sources.ROOT.glob("*.md")) + sorted((sources.ROOT / "docs").rglob("*.md"))
    for page in pages:
        rel, text = page.relative_to(sources.ROOT), page.read_text()
        wrong += [f"{rel}:{line}: {message}" for line, message in check_text(rel, text, known)]
        for line, mode, body in snippets(rel, text):
            if mode is None:
                wrong.append(f"{rel}:{line}: no main: say ```c fragment or ```c sketch")
            elif mode == "sketch":
                sketches += 1
            else:
                jobs.append((rel, line, mode, body))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for job, error in zip(jobs, pool.map(lambda j: compile_and_run(build, *j), jobs)):
            if error:
                wrong.append(f"{job[0]}:{job[1]}: this {job[2]} fails:\n{error.rstrip()}")
    print("\n".join(wrong + [f"{len(pages)} pages, {len(jobs)} snippets compiled, "
                             f"{sum(j[2] == 'run' for j in jobs)} run, {sketches} sketches, "
                             f"{len(wrong)} wrong"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
