#!/usr/bin/env python3
"""What the man pages promise: each synopsis is run or compiled: man_test.py BUILD [arguments]"""

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

import cli
from cli import Node, environment, run, start

ROOT = pathlib.Path(__file__).resolve().parents[2]


def text_of(lines):
    """Roff as words: fonts and escapes away, a .br as a newline."""
    said = []
    for line in lines:
        macro, _, rest = line.partition(" ")
        words = shlex.split(rest.replace("\\-", "-").replace("'", "\\'"))
        if macro == ".br":
            said.append("\n")
        elif macro in (".BR", ".RB", ".IR", ".RI", ".BI", ".IB"):
            said.append("".join(words))
        elif macro in (".B", ".I"):
            said.append(" ".join(words))
        elif line.startswith("."):
            raise ValueError(line)
        else:
            said.append(line.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\"))
    return [usage.strip() for usage in " ".join(said).split("\n")]


def section(page, name):
    found = re.search(rf'^\.SH "?{name}"?\n(.*?)(?=^\.SH |\Z)', page, re.S | re.M)
    return found[1].splitlines() if found else None


class ManTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="p2p-man-"))
        subprocess.run([sys.executable, "-B", ROOT / "tools/man.py", cli.P2P, cls.folder / "man"],
                       check=True, stdout=subprocess.DEVNULL)
        cls.pages = {p.name: p.read_text() for p in sorted((cls.folder / "man").rglob("*.?"))}
        cls.rows = [json.loads(line) for line in run("help", "--json")[1].splitlines()]
        cls.commands = [r for r in cls.rows if r["event"] == "command"]
        cls.node = Node("--control", cls.folder / "control")

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()
        shutil.rmtree(cls.folder)

    def value(self, command, word):
        """Something for a placeholder."""
        new = self.folder / f"new-{len(list(self.folder.iterdir()))}"
        if word == "FILE" and command != "key gen":
            new.write_text("") if command == "config" else run("key", "gen", "--out", new)
        return {"TARGET": self.node.addr, "PROTO": "/p2p/echo/1.0.0", "MULTIADDR": "/ip4/127.0.0.1/tcp/0",
                "COUNT": "1", "SECONDS": "0.1", "BYTES": "1K", "TYPE": "ed25519", "FILE": str(new),
                "PATH": str(self.folder / "control"), "COMMAND": "version"}[word]

    def arguments(self, usage):
        """The words of the shortest and of the longest form of a usage."""
        words = usage.replace("[OPTIONS]", "[--json]").split()[1:]
        command = " ".join(words[:2]) if words[0] == "key" else words[0]
        short, long, depth = [], [], 0
        for word in words:
            depth += word.count("[")
            bare = word.strip("[].")
            if re.fullmatch("[A-Z]+", bare):
                bare = self.value(command, bare)
            long.append(bare)
            if depth == 0:
                short.append(bare)
            depth -= word.count("]")
        return short, long

    def call(self, words):
        if words[0] != "node":
            asks = words[0] in ("peers", "addrs") and "--control" not in words
            return run(*words, *(["--control", self.folder / "control"] if asks else []))
        node = start(*words, "-o", "control=", env=environment())
        for line in node.stdout:
            if b"ready" in line:
                break
        node.terminate()
        out, err = node.communicate(timeout=cli.TIMEOUT)
        return node.returncode, out, err.decode()

    def test_every_command_runs_as_its_page_says(self):
        seen = set()
        for name, page in self.pages.items():
            if not name.endswith(".1"):
                continue
            for usage in text_of(section(page, "SYNOPSIS")):
                self.assertRegex(usage, r"^p2p ")
                for words in self.arguments(usage):
                    with self.subTest(page=name, words=words):
                        code, _, err = self.call(words)
                        self.assertEqual(code, 0, err)
                        self.assertNotIn("p2p: ", err)
                seen.add(" ".join(w for w in usage.split()[1:3] if w.isalpha() and w.islower()))
        self.assertEqual({c["name"] for c in self.commands} - {"help"}, seen - {""})

    def test_every_command_has_a_page_with_its_options(self):
        for command in self.commands:
            name = command["name"].split()[0]
            page = self.pages["p2p.1" if name == "help" else f"p2p-{name}.1"]
            said = "\n".join(section(page, "OPTIONS")).replace("\\-", "-")
            for option in command["options"]:
                if name == "help" and option["name"] not in ("help", "json"):
                    continue
                written = "--" + option["name"] if option["name"] else "-" + option["letter"]
                self.assertRegex(said, rf"(?m)^\.BI? .*{written}\b")

    def test_exit_codes_and_keys(self):
        said = "\n".join(section(self.pages["p2p.1"], "EXIT STATUS"))
        for row in self.rows:
            if row["event"] == "exit":
                self.assertIn(f"{row['exit']}\t", said)
        exits = {int(n) for n in re.findall(r"^    EXIT_\w+ = (\d+)", (ROOT / "cli/cli.h").read_text(), re.M)}
        self.assertEqual({r["exit"] for r in self.rows if r["event"] == "exit"},
                         exits - {128} | {130, 143})
        said = "\n".join(section(self.pages["p2p-config.5"], "OPTIONS"))
        for row in self.rows:
            if row["event"] == "option":
                self.assertIn(f"\n.B {row['name']}\n", "\n" + said)

    def test_every_page_is_whole(self):
        for name, page in self.pages.items():
            if page.startswith(".so "):
                self.assertIn(page.split("/")[1].strip(), self.pages)
                continue
            self.assertRegex(page, r"\A\.TH ")
            self.assertNotRegex(page, r"(?m)@[A-Z]+@")
            for part in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"):
                self.assertIsNotNone(section(page, part), (name, part))
            for match in re.finditer(r"^\.BR (\S+) \((\d)\)", page, re.M):
                other = f"{match[1]}.{match[2]}".replace("\\-", "-")
                self.assertIn(other, self.pages, name)

    @unittest.skipUnless(shutil.which("groff"), "no groff")
    def test_groff_has_no_complaints(self):
        for name, page in self.pages.items():
            if not page.startswith(".so "):
                done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z"], input=page, text=True,
                                      capture_output=True, timeout=cli.TIMEOUT)
                self.assertEqual((done.returncode, done.stderr), (0, ""), name)

    def test_every_function_has_a_page_and_its_synopsis_compiles(self):
        public = set()
        for header in (ROOT / "include/p2p").glob("*.h"):
            text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
            public |= {m[1] for m in re.finditer(r"^P2P_API[^;{]*?\b(p2p_\w+)\s*\(", text, re.M)}
            name = "libp2p.3" if header.stem == "p2p" else f"p2p_{header.stem}.3"
            source = "\n".join(text_of([l])[0] if l else "" for l in section(self.pages[name], "SYNOPSIS")
                               if not re.match(r"\.(nf|fi|PP|B)\b", l)).replace("Link with -lp2p, or as", "")
            source = source.replace("says.", "")
            self.assertIn(f"#include <p2p/{header.name}>", source)
            std = "gnu99" if header.stem == "uv" else "c99"
            done = subprocess.run(["cc", f"-std={std}", "-Wall", "-Werror", "-fsyntax-only", f"-I{ROOT}/include",
                                   "-x", "c", "-"], input=source, text=True, capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            for function in re.findall(r"\b(p2p_\w+)\(", source):
                self.assertIn(f"{function}.3", self.pages)
                public.discard(function)
        self.assertEqual(public, set())


if __name__ == "__main__":
    cli.begin()
    unittest.main(warnings="ignore")
