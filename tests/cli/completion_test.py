#!/usr/bin/env python3
"""Completion in real shells: completion_test.py BUILD [unittest arguments]

zsh and fish are asked when they are installed."""

import json
import os
import pathlib
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import cli

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Fills what bash would, from the words before the cursor, and calls what "complete" names.
ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
compopt() { :; }
$(complete -p p2p | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


class CompletionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="p2p-completion-"))
        subprocess.run([sys.executable, "-B", ROOT / "tools/completions.py", cli.P2P, cls.folder],
                       check=True)
        rows = [json.loads(line) for line in cli.run("help", "--json")[1].splitlines()]
        cls.commands = [r for r in rows if r["event"] == "command"]
        cls.keys = [r["name"] for r in rows if r["event"] == "option"]
        cls.firsts = list(dict.fromkeys(c["name"].split()[0] for c in cls.commands))
        (cls.folder / "in").mkdir()
        for name in ("my key", "swarm.key"):
            (cls.folder / "in" / name).write_text("")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def bash(self, *words):
        done = subprocess.run(["bash", "--norc", "-c", ASK, "bash", self.folder / "p2p", "p2p", *words],
                              capture_output=True, text=True, timeout=cli.TIMEOUT,
                              cwd=self.folder / "in")
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return [line for line in done.stdout.splitlines() if line]

    @staticmethod
    def flags(command):
        return [d + o[k] for o in command["options"] for d, k in (("-", "letter"), ("--", "name"))
                if o[k]]

    def test_bash_knows_all_commands_and_options(self):
        self.assertEqual(self.bash(""), self.firsts)
        self.assertEqual(self.bash("pe"), ["perf", "peers"])
        self.assertEqual(self.bash("key", ""), ["gen", "show"])
        self.assertIn("options", self.bash("help", ""))
        for command in self.commands:
            self.assertEqual(self.bash(*command["name"].split(), *(["x"] if command["name"] == "help" else []), "-"), self.flags(command), command["name"])

    def test_bash_values(self):
        channels = ["noise", "tls", "signed", "plaintext"]
        self.assertEqual(self.bash("ping", "--security", ""), channels)
        self.assertEqual(self.bash("ping", "--security", "=", "t"), ["tls"])
        self.assertEqual(self.bash("ping", "--security", "="), channels)
        self.assertEqual(self.bash("key", "gen", "-t", "e"), ["ed25519", "ecdsa"])
        self.assertEqual(self.bash("node", "--muxer", "yamux", "--muxer", ""), ["yamux", "mplex"])
        self.assertEqual(sorted(self.bash("node", "--key", "")), ["my key", "swarm.key"])
        self.assertEqual(sorted(self.bash("node", "--psk", "=", "s")), ["swarm.key"])
        self.assertEqual(self.bash("key", "show", "my"), ["my key"])
        self.assertEqual(self.bash("key", "show", "--j"), ["--json"])
        self.assertEqual(self.bash("ping", "-c", ""), [])
        self.assertEqual(self.bash("node", "-o", ""), [k + "=" for k in self.keys])
        self.assertEqual(self.bash("node", "-o", "dial_t"), ["dial_timeout="])
        self.assertEqual(self.bash("node", "-o", "limit_loopback", "="), ["true", "false"])
        self.assertEqual(self.bash("node", "-o", "limit_loopback", "=", "f"), ["false"])
        self.assertEqual(self.bash("node", "-o", "memory", "="), [])
        self.assertEqual(self.bash("node", "-o", "memory", "=", "6"), [])

    def test_bash_finds_the_command_behind_options(self):
        self.assertEqual(self.bash("-o", "memory", "=", "1M", "no"), ["node"])
        self.assertEqual(self.bash("--json", "ke"), ["key"])
        self.assertEqual(self.bash("-o", "agent", "=", "x", "key", ""), ["gen", "show"])
        self.assertEqual(self.bash("node", "--key", "ping", "--lis"), ["--listen"])
        self.assertEqual(self.bash("node", "--key", "=", "ping", "--lis"), ["--listen"])
        self.assertEqual(self.bash("frob", "-"), [])
        self.assertEqual(self.bash("$(touch here)", "`touch here`", "'"), [])
        self.assertFalse((self.folder / "in" / "here").exists())

    def test_bash_with_keys_pressed(self):
        """In an interactive bash, whose line is completed and then printed."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.folder / "in")
            os.environ["PS1"], os.environ["TERM"] = "$ ", "dumb"
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        self.press(pid, fd, "source ../p2p; bind -x '\"\\C-x\": echo \"LINE<$READLINE_LINE>\"'",
                   "\x15", (("p2p pin\t", "p2p ping "), ("p2p key g\t", "p2p key gen "),
                            ("p2p node --sec\tt\t", "p2p node --security tls "),
                            ("p2p node --security=n\t", "p2p node --security=noise "),
                            ("p2p node -o dial_\t5s", "p2p node -o dial_timeout=5s"),
                            ("p2p key show m\t", "p2p key show my\\ key ")))

    def wait_for(self, fd, wanted):
        seen, deadline = b"", time.monotonic() + cli.TIMEOUT
        while wanted.encode() not in seen:
            self.assertLess(time.monotonic(), deadline, (wanted, seen.decode(errors="replace")))
            if select.select([fd], [], [], 1)[0]:
                seen += os.read(fd, 65536)

    def press(self, pid, fd, setup, kill, cases):
        """Each text is typed; then Control-X prints the line as it is, and kill empties it."""
        try:
            os.write(fd, f"{setup}; PS1='REA''DY> '\n".encode())
            self.wait_for(fd, "READY> ")
            for typed, expected in cases:
                os.write(fd, f"{typed}\x18".encode())
                self.wait_for(fd, f"LINE<{expected}>")
                os.write(fd, kill.encode())
        finally:
            os.close(fd)
            os.waitpid(pid, 0)

    @unittest.skipUnless(shutil.which("fish"), "no fish")
    def test_fish(self):
        def fish(line):
            script = f"source {self.folder}/p2p.fish; complete -C \"$argv[1]\""
            done = subprocess.run(["fish", "--no-config", "-c", script, line], capture_output=True,
                                  text=True, timeout=cli.TIMEOUT, cwd=self.folder / "in",
                                  env=cli.environment(HOME=str(self.folder)))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return sorted(l.split("\t")[0] for l in done.stdout.splitlines())
        self.assertEqual(fish("p2p "), sorted(self.firsts))
        self.assertEqual(fish("p2p key "), ["gen", "show"])
        self.assertEqual(fish("p2p ping --security "), ["noise", "plaintext", "signed", "tls"])
        self.assertIn("swarm.key", fish("p2p node --key "))
        self.assertIn("dial_timeout=", fish("p2p node -o "))
        for command in self.commands:
            said = fish(f"p2p {command['name']} -")
            self.assertEqual(set(said) & {f for f in self.flags(command)}, set(self.flags(command)))

    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_zsh(self):
        done = subprocess.run(["zsh", "-f", "-n", self.folder / "_p2p"], capture_output=True, text=True,
                              timeout=cli.TIMEOUT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.folder / "in")
            os.environ.update(PS1="$ ", TERM="dumb", HOME=str(self.folder), FPATH=f"{self.folder}:" + subprocess.run(
                ["zsh", "-f", "-c", "echo $FPATH"], capture_output=True, text=True).stdout.strip())
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.press(pid, fd, "autoload -U compinit; compinit -u -D; show() { echo \"LINE<$BUFFER>\" }; "
                   "zle -N show; bindkey '^X' show", "\x15",
                   (("p2p pin\t", "p2p ping "), ("p2p key g\t", "p2p key gen "),
                    ("p2p node --security t\t", "p2p node --security tls "),
                    ("p2p node --list\t", "p2p node --listen="),
                    ("p2p key gen -t rs\t", "p2p key gen -t rsa "),
                    ("p2p node -o dial_t\t", "p2p node -o dial_timeout="),
                    ("p2p key show sw\t", "p2p key show swarm.key ")))


if __name__ == "__main__":
    cli.begin()
    unittest.main(warnings="ignore")
