#!/usr/bin/env python3
"""Makes the man pages: man.py P2P OUT

Section 1 and 5 are written by hand in docs/man; what repeats a table of the command P2P is put in
where a line says so:

    .\\" @OPTIONS@   the options of the page's commands, with the texts of docs/man/options.man
    .\\" @KEYS@      what -o, the environment and the configuration file set
    .\\" @EXIT@      the exit codes
    .\\" @COMMANDS@  the commands, with the names of their pages

Section 3 is made of the public headers: a page for each, and a name for each function. The pages go
to OUT/man1, OUT/man3 and OUT/man5.
"""

import json
import pathlib
import re
import subprocess
import sys

import sources

MAN = sources.ROOT / "docs" / "man"
DATE = re.search(r'^\.TH \S+ 1 (\S+)', (MAN / "p2p.1").read_text(), re.M)[1]


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def tables(p2p):
    """Of the command P2P: its commands, options and exit codes."""
    done = subprocess.run([p2p, "help", "--json"], capture_output=True, text=True, check=True)
    found = {"command": [], "option": [], "exit": []}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        found[row["event"]].append(row)
    return found


# ---- sections 1 and 5 ----

def option_texts():
    """What docs/man/options.man says more than the table, by name ("--key", "-o")."""
    parts = re.split(r'^\.\\" (--?[\w-]+)\n', (MAN / "options.man").read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def flag(option):
    return "--" + option["name"] if option["name"] else "-" + option["letter"]


def options_of(table, name):
    """Each option of the commands of a page, once, in the order of the table."""
    seen = {}
    for command in table["command"]:
        if name == "p2p" or command["name"].split()[0] == name:
            for option in command["options"]:
                seen.setdefault(flag(option), option)
    if name == "p2p":  # those of every command
        seen = {k: v for k, v in seen.items() if k in ("-o", "--json", "--help")}
    return seen


def write_options(table, name):
    texts, out = option_texts(), []
    for key, option in options_of(table, name).items():
        names = ", ".join(escape(f"{d}{option[k]}") for d, k in (("-", "letter"), ("--", "name"))
                          if option[k])
        out.append(".TP")
        out.append(f'.BI "{names} " {escape(option["value"])}' if option["value"] else f".B {names}")
        if key in texts:
            out.append(texts[key].rstrip("\n"))
        else:
            out.append(escape(option["help"][0].upper() + option["help"][1:] + "."))
    return out


def write_keys(table, _):
    kinds = {"text": "text", "list": "list, separated by commas; a repeated line adds to it",
             "int": "number", "bytes": "bytes; K, M or G may follow",
             "ms": "time; ms, s or m may follow", "bool": "true or false"}
    out = []
    for option in table["option"]:
        out += [".TP", f".B {escape(option['name'])}",
                escape(f"{option['help'][0].upper()}{option['help'][1:]}.")]
        default = f" Default: {option['default']}." if option["default"] else ""
        out.append(escape(f"({kinds[option['kind']]}){default}".strip()))
    return out


def write_exits(table, _):
    return [".nf", *(f"{e['exit']}\t{escape(e['meaning'])}" for e in table["exit"]), ".fi"]


def write_commands(table, _):
    out, seen = [], set()
    for command in table["command"]:
        word = command["name"].split()[0]
        out += [".TP", f".B {escape(command['usage'])}", f"{escape(command['summary'])}."]
        if word != "help" and word not in seen:
            out.append(f".RB ( p2p\\-{word} (1))")
        seen.add(word)
    return out


MARKS = {"OPTIONS": write_options, "KEYS": write_keys, "EXIT": write_exits,
         "COMMANDS": write_commands}


def fill(table, path, version):
    name = path.stem.removeprefix("p2p-")
    lines = []
    for line in path.read_text().splitlines():
        mark = re.fullmatch(r'\.\\" @(\w+)@', line)
        lines += MARKS[mark[1]](table, name) if mark else [line]
    return re.sub(r'"libp2p [\d.]+"', f'"libp2p {version}"', "\n".join(lines) + "\n", count=1)


# ---- section 3 ----

def body_of(header):
    """A header without what the compiler alone needs."""
    text = header.read_text()
    text = re.sub(r"^#ifdef __cplusplus\n.*?^#endif\n", "", text, flags=re.S | re.M)
    text = re.sub(r"^#if defined\(_WIN32\)\n.*?^#endif\n", "", text, flags=re.S | re.M)
    text = re.sub(r"^#ifndef (\w+)\n#define \1\n", "", text, flags=re.M)
    text = re.sub(r"^#endif\s*\Z", "", text, flags=re.M)
    text = re.sub(r"^#include .*\n", "", text, flags=re.M)
    return re.sub(r"[ \t]*\\$", " \\\\", text, flags=re.M).replace("P2P_API ", "")


def words_of(comment):
    """The paragraphs of a comment."""
    text = re.sub(r"\A/\*|\*/\Z", "", comment)
    text = re.sub(r"^[ \t]*\*[ \t]?", "", text, flags=re.M)
    return [" ".join(p.split()) for p in re.split(r"\n[ \t]*\n", text) if p.strip()]


def entries(body):
    """(comment or None, code) of each declaration or group of them; code None: text alone."""
    chunks = [c.strip("\n") for c in re.split(r"\n[ \t]*\n", body) if c.strip()]
    whole, pending = [], ""
    for chunk in chunks:  # a blank line within a comment or a struct does not end it
        pending = f"{pending}\n\n{chunk}" if pending else chunk
        open_comment = pending.count("/*") > pending.count("*/")
        code = re.sub(r"/\*.*?\*/", "", pending, flags=re.S)
        if not open_comment and code.count("{") == code.count("}"):
            whole.append(pending)
            pending = ""
    for chunk in whole:
        part = re.match(r"(/\*.*?\*/)[ \t]*\n?", chunk, re.S)
        if not part:
            yield None, chunk
        elif part.end() == len(chunk):
            yield part[1], None
        else:
            rest = chunk[part.end():]
            at = [m.start() for m in re.finditer(r"^/\*", rest, re.M)]
            pieces = [rest[a:b].strip("\n") for a, b in zip([0, *at], [*at, len(rest)])]
            yield part[1], pieces[0] or None
            for piece in pieces[1:]:
                yield from entries(piece)


def prototypes(code):
    """Each function that a piece of code declares: (name, declaration)."""
    code = re.sub(r"^#.*(?:\\\n.*)*\n?", "", re.sub(r"/\*.*?\*/", "", code, flags=re.S), flags=re.M)
    code = re.sub(r"\{[^{}]*\}", "", re.sub(r"\{[^{}]*\}", "", code))
    for declaration in code.split(";"):
        declaration = declaration.strip()
        match = re.search(r"\b(p2p_\w+)\s*\(", declaration)
        if match and not declaration.startswith(("typedef", "struct", "enum")):
            yield match[1], re.sub(r"[ \t]+$", "", declaration, flags=re.M) + ";"


def code_lines(code):
    return [".PP", ".nf", *(escape(line.rstrip()) for line in code.splitlines()), ".fi"]


def page_name(header):
    return "libp2p" if header.stem == "p2p" else "p2p_" + header.stem


def write_header(header, version):
    """(page, the functions that it describes)"""
    parts = list(entries(body_of(header)))
    first = words_of(parts[0][0])
    found = [p for _, code in parts if code for p in prototypes(code)]
    name = page_name(header)
    names = dict.fromkeys([name, *(n for n, _ in found)])
    summary = re.split(r"[.;] ", first[0] + " ")[0].rstrip(".")
    out = [f'.TH {name.upper()} 3 {DATE} "libp2p {version}" "Library functions"', ".SH NAME",
           escape(", ".join(names)) + " \\- " + escape(summary), ".SH SYNOPSIS", ".nf",
           escape(f"#include <p2p/{header.name}>"), ""]
    for _, declaration in found:
        out += escape(declaration).splitlines()
    out += [".fi", ".PP", "Link with \\-lp2p, or as", ".B pkg\\-config \\-\\-cflags \\-\\-libs libp2p",
            "says.", ".SH DESCRIPTION"]
    out += sum(([".PP", escape(p)] for p in first), [])[1:]
    for comment, code in [(None, parts[0][1]), *parts[1:]]:
        section = re.fullmatch(r"/\* -+ (.*?) -+ \*/", comment or "", re.S)
        if section:
            out.append(f".SS {escape(section[1][0].upper() + section[1][1:])}")
        elif comment and not code:
            out += sum(([".PP", escape(p)] for p in words_of(comment)), [])
        if code:
            out += code_lines(code)
            if comment and not section:
                out.append(".RS 4")
                out += sum(([".PP", escape(p)] for p in words_of(comment)), [])[1:]
                out.append(".RE")
    others = sorted(page_name(h) for h in header.parent.glob("*.h") if h != header)
    out.append(".SH SEE ALSO")
    out += [f".BR {escape(o)} (3)" + ("," if o != others[-1] else "") for o in others]
    return "\n".join(out) + "\n", [n for n in names if n != name]


def main():
    p2p, out = sys.argv[1], pathlib.Path(sys.argv[2])
    table = tables(p2p)
    cmake = (sources.ROOT / "CMakeLists.txt").read_text()
    version = re.search(r"^project\(libp2p VERSION ([\d.]+)", cmake, re.M)[1]
    pages, owner = {}, {}
    for path in sorted([*MAN.glob("*.1"), *MAN.glob("*.5")]):
        pages[f"man{path.suffix[1:]}/{path.name}"] = fill(table, path, version)
    headers = sorted((sources.ROOT / "include" / "p2p").glob("*.h"))
    for header in headers:
        name = page_name(header)
        page, functions = write_header(header, version)
        pages[f"man3/{name}.3"] = page
        for function in functions:
            if function in owner or function in map(page_name, headers):
                sys.exit(f"{function} is described in {header.name}, and elsewhere")
            owner[function] = name
    for function, name in owner.items():
        pages[f"man3/{function}.3"] = f".so man3/{name}.3\n"
    for section in ("man1", "man3", "man5"):
        (out / section).mkdir(parents=True, exist_ok=True)
        for old in (out / section).iterdir():
            if f"{section}/{old.name}" not in pages:
                old.unlink()
    for name, text in pages.items():
        (out / name).write_text(text)
    print(f"{len(pages) - len(owner)} pages, {len(owner)} names of functions")


if __name__ == "__main__":
    main()
