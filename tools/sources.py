"""What the checks share: the order of the layers, the project's files, and their #includes."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def layers(root=ROOT):
    """The folders below src/, lowest first, as CMakeLists.txt gives them to p2p_layers()."""
    text = (root / "CMakeLists.txt").read_text()
    return re.search(r"^p2p_layers\(([^)]*)\)", text, re.M).group(1).split()


def files(root, *folders):
    """Every C source and header below the folders, sorted."""
    found = []
    for folder in folders:
        found += [p for p in (root / folder).rglob("*") if p.suffix in (".c", ".h") and p.is_file()]
    return sorted(found)


def includes(path):
    """(line, is_system, name) for each #include of a file."""
    text = path.read_text(errors="replace")
    return [(text.count("\n", 0, m.start(1)) + 1, m.group(1) == "<", m.group(2))
            for m in INCLUDE.finditer(text)]


def resolve(root, path, is_system, name):
    """The project's file that an #include names, or None when it is not ours."""
    places = [root / "include"] if is_system else [path.parent, root / "src", root, root / "include"]
    for place in places:
        if (place / name).is_file():
            return (place / name).resolve()
    return None
