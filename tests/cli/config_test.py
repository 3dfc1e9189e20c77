#!/usr/bin/env python3
"""Where options come from: config_test.py BUILD [unittest arguments]"""

import json
import pathlib
import tempfile
import unittest

import cli
from cli import Node, environment, objects, run

SENTENCE = r"\Ap2p: [^\x00-\x09\x0b-\x1f]+\n\Z"


class ConfigTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="p2p-config-"))
        self.addCleanup(lambda: cli.subprocess.run(["rm", "-rf", self.folder], check=True))
        (self.folder / "p2p").mkdir()
        self.file = self.folder / "p2p" / "config"

    def env(self, **more):
        return environment(XDG_CONFIG_HOME=str(self.folder), **more)

    def shown(self, *args, **env):
        """name -> (value, source, where)"""
        code, out, err = run("config", "--json", *args, env=self.env(**env))
        self.assertEqual((code, err), (0, ""))
        said = objects(out)
        for option in said:
            self.assertEqual(list(option), ["event", "name", "value", "default", "source", "where"])
            self.assertEqual(option["event"], "option")
        return {o["name"]: (o["value"], o["source"], o["where"]) for o in said}

    def fails(self, exit_code, *args, env=None):
        code, out, err = run(*args, env=env or self.env())
        self.assertEqual((code, out), (exit_code, b""), err)
        self.assertRegex(err, SENTENCE)
        return err

    def test_precedence(self):
        """Each source replaces what comes below it, also of a list."""
        at = str(self.file)
        steps = [((), {}, ("signed,plaintext", "file", at + ":3")),
                 ((), {"P2P_SECURITY": "tls"}, ("tls", "environment", "P2P_SECURITY")),
                 (("-o", "security=noise", "-o", "security=tls"), {"P2P_SECURITY": "tls"},
                  ("noise,tls", "option", "-o")),
                 (("-o", "security=noise", "--security", "plaintext", "--security", "noise"),
                  {"P2P_SECURITY": "tls"}, ("plaintext,noise", "flag", "--security"))]
        self.assertEqual(self.shown()["security"], ("noise,tls", "default", None))
        self.file.write_text("# channels\nsecurity = signed\n  security=plaintext  \n\nagent = a = b \n")
        for args, env, expected in steps:
            self.assertEqual(self.shown(*args, **env)["security"], expected)
        self.assertEqual(self.shown()["agent"], ("a = b", "file", at + ":5"))
        self.assertEqual(self.shown(P2P_AGENT="")["agent"][1], "file")  # empty is unset
        self.assertEqual(self.shown("-o", "agent=")["agent"], ("", "option", "-o"))
        self.assertEqual(self.shown("--key", "/k", "--psk", "/p", P2P_PSK="/q")["psk"],
                         ("/p", "flag", "--psk"))
        self.assertEqual(self.shown("--key", "/k")["identity"], ("/k", "flag", "--key"))
        listen = ("--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.2/tcp/0")
        self.assertEqual(self.shown(*listen, P2P_LISTEN="/ip4/127.0.0.3/tcp/0")["listen"],
                         ("/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.2/tcp/0", "flag", "--listen"))
        self.assertEqual(self.shown(P2P_CONTROL="/x")["control"], ("/x", "environment", "P2P_CONTROL"))
        self.assertEqual(self.shown("--control", "", P2P_CONTROL="/x")["control"],
                         ("", "flag", "--control"))

    def test_every_option_from_every_source(self):
        good = {"text": "/x", "list": "/x", "int": "7", "bytes": "7K", "ms": "7s", "bool": "true"}
        special = {"security": "tls", "muxer": "mplex", "dns_servers": "192.0.2.1",
                   "log": "info"}
        code, out, _ = run("help", "--json")
        options = [o for o in objects(out) if o["event"] == "option"]
        self.assertEqual(code, 0)
        self.assertEqual([o["name"] for o in options], list(self.shown()))
        values = {o["name"]: special.get(o["name"], good[o["kind"]]) for o in options}
        self.file.write_text("".join(f"{n} = {v}\n" for n, v in values.items()))
        self.assertEqual({n: s[:2] for n, s in self.shown().items()},
                         {n: (v, "file") for n, v in values.items()})
        env = {"P2P_" + n.upper(): v for n, v in values.items()}
        self.assertEqual({n: s for n, s in self.shown(**env).items()},
                         {n: (v, "environment", "P2P_" + n.upper()) for n, v in values.items()})
        args = [a for n, v in values.items() for a in ("-o", f"{n}={v}")]
        self.assertEqual({n: s for n, s in self.shown(*args, **env).items()},
                         {n: (v, "option", "-o") for n, v in values.items()})

    def test_what_is_printed_can_be_read(self):
        self.file.write_text("memory=64M\nservices=ping\nservices=echo\n")
        before = self.shown()
        text = run("config", env=self.env())[1].decode()
        self.assertIn(f"# from {self.file}:3\nservices = ping,echo\n", text)
        self.assertIn("\n#dial_timeout = 10s\n", text)
        self.file.write_text(text)
        self.assertEqual({n: v[:2] for n, v in self.shown().items()},
                         {n: v[:2] for n, v in before.items()})

    def test_a_node_obeys(self):
        self.file.write_text("agent = of-the-file\nservices = identify\n"
                             "listen = /ip4/127.0.0.1/tcp/0, \n".replace(", ", ""))
        node = cli.start("node", "--json", env=self.env())
        target = json.loads(node.stdout.readline())["addr"]
        said, = objects(run("identify", target, "--json", env=self.env())[1])
        self.assertEqual(said["agent"], "of-the-file")
        self.assertNotIn("/p2p/echo/1.0.0", said["protocols"])
        node.terminate()
        self.assertEqual(node.wait(cli.TIMEOUT), 0)

    def test_where_to_listen_is_for_nodes_only(self):
        node = Node()
        self.file.write_text(f"listen = /ip4/127.0.0.1/tcp/{node.port}\nservices = identify\n")
        self.assertEqual(run("ping", node.addr, "-c", 1, env=self.env())[0], 0)
        self.fails(45, "node")
        node.stop()

    def test_other_files(self):
        other = self.folder / "other"
        other.write_text("agent = other")  # no newline at the end
        self.file.write_text("agent = usual\n")
        self.assertEqual(self.shown("--config", other)["agent"], ("other", "file", f"{other}:1"))
        self.assertEqual(self.shown(P2P_CONFIG=str(other))["agent"][0], "other")
        self.assertEqual(self.shown("--config", self.file, P2P_CONFIG=str(other))["agent"][0], "usual")
        self.assertEqual(self.shown("--config", "", P2P_CONFIG=str(other))["agent"][1], "default")
        self.assertEqual(self.shown("--config", "/dev/null")["agent"][1], "default")
        for missing in (self.folder / "missing", other / "below"):
            self.assertIn(str(missing), self.fails(26, "config", "--config", missing))
            self.assertIn(str(missing), self.fails(26, "node", env=self.env(P2P_CONFIG=str(missing))))
        self.assertIn(str(self.folder), self.fails(26, "config", "--config", self.folder))

    def test_no_home(self):
        env = environment(HOME="", XDG_CONFIG_HOME="relative")
        self.assertEqual(run("config", env=env)[0], 0)
        self.assertEqual(run("config", env=environment(XDG_CONFIG_HOME="/nonexistent"))[0], 0)
        self.assertEqual(run("config", env=environment(XDG_CONFIG_HOME="/dev/null"))[0], 0)

    def test_bad_lines_are_named(self):
        bad = {"nonsense": ("nonsense", 2), "= 1": ("name = value", 2), "=": ("name = value", 2),
               "frob = 1": ("frob", 2), "memory = lots": ("lots", 2), "memory =": ("memory", 2),
               "dial_timeout = 1h": ("1h", 2), "limit_loopback = maybe": ("maybe", 2),
               "conns_in = -1": ("-1", 2), "security = secio": ("secio", 4),
               "x" * 64 + " = 1": ("too long", 2), "agent = " + "x" * 4096: ("too long", 2),
               "agent = \x1b[2J\nmemory = \x1b[2J": ("memory", 2), "\xff\xfe = 1": ("option", 2),
               "[section]": ("name = value", 2), "dns_servers = here": ("here", 2)}
        for line, (word, code) in bad.items():
            with self.subTest(line=line[:20]):
                self.file.write_bytes(b"# one\nagent = x\n\n" + line.encode("latin-1") + b"\n")
                number = 4 + line.count("\n")
                for command in (("config",), ("node",), ("ping", "/ip4/127.0.0.1/tcp/1/p2p/x")):
                    err = self.fails(code, *command)
                    self.assertIn(f"{self.file}:{number}: ", err)
                    if word != "nonsense":
                        self.assertIn(word, err)
        self.file.write_bytes(b"agent = x\n\0")
        self.assertIn(str(self.file), self.fails(26, "config"))
        self.file.write_bytes(b"#" + b"x" * (1 << 20))
        self.assertIn(str(self.file), self.fails(26, "config"))
        self.file.write_bytes(b"#" + b"x" * ((1 << 20) - 1))
        self.assertEqual(run("config", env=self.env())[0], 0)
        self.file.write_bytes(b"agent = " + b"x" * 4095 + b"\r\n")
        self.assertEqual(self.shown()["agent"][0], "x" * 4095)

    def test_a_mistake_below_is_told_even_if_replaced(self):
        self.file.write_text("memory = lots\n")
        self.fails(2, "config", "-o", "memory=1M")
        self.file.write_text("")
        self.assertIn("P2P_MEMORY", self.fails(2, "config", "-o", "memory=1M",
                                               env=self.env(P2P_MEMORY="lots")))

    def test_commands_without_a_host_do_not_read_it(self):
        self.file.write_text("nonsense\n")
        for args in (("version",), ("help",), ("help", "options"), ("key", "gen", "--out", self.folder / "k")):
            self.assertEqual(run(*args, env=self.env())[0], 0)

    def test_an_empty_file_name_is_no_default(self):
        for option in "--key", "--psk":
            self.assertIn(option, self.fails(2, "config", option, ""))


if __name__ == "__main__":
    cli.begin()
    unittest.main(warnings="ignore")
