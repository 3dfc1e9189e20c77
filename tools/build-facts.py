#!/usr/bin/env python3
"""What other build systems need to know of the CMake files, which are the only place that says it:

    build-facts.py version
    build-facts.py modules              pkg-config modules without which there is no library
    build-facts.py features             of each feature: name and modules
    build-facts.py sources [FEATURE...] all sources, with those of these features
"""

import re
import sys

import sources

CMAKE = (sources.ROOT / "CMakeLists.txt").read_text()
LAYERS = (sources.ROOT / "cmake" / "layers.cmake").read_text()


def features():
    """(name, folder below src/, modules)"""
    for match in re.finditer(r"^p2p_feature\((\w+) (\S+) ([^)]+)\)", LAYERS, re.M):
        yield match[1], match[2], match[3].split()


def version():
    return [re.search(r"^project\(libp2p VERSION ([\d.]+)", CMAKE, re.M)[1]]


def modules():
    return re.findall(r"^p2p_needs\(\w+ ([\w-]+)\)", LAYERS, re.M)


def main():
    what, *wanted = sys.argv[1:]
    if what == "sources":
        left_out = [f"src/{folder}/" for name, folder, _ in features() if name not in wanted]
        paths = [str(p.relative_to(sources.ROOT)) for layer in sources.layers()
                 if (sources.ROOT / "src" / layer).is_dir()
                 for p in sources.files(sources.ROOT, f"src/{layer}")]
        lines = [p for p in paths if p.endswith(".c") and not p.endswith("_test.c")
                 and not p.startswith(tuple(left_out))]
    elif what == "features":
        lines = [" ".join([name, *needed]) for name, _, needed in features()]
    else:
        lines = {"version": version, "modules": modules}[what]()
    print("\n".join(lines))


if __name__ == "__main__":
    main()
