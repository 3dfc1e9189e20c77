#!/usr/bin/env python3
"""Counts the tests of the last ctest run: count-tests.py BUILD [EXTRA_PASSED EXTRA_FAILED]

A cmocka program counts with each of its tests, every other ctest test as one; a program that
crashed or timed out counts as one more failure. Prints "N passed, N failed[, N skipped]".
"""

import pathlib
import re
import sys


def count(text):
    passed = failed = skipped = 0
    for test in re.split(r"^\d+/\d+ Testing: ", text, flags=re.M)[1:]:
        ok = re.search(r"^Test Passed\.$", test, re.M)
        ran = sum(map(int, re.findall(r"^\[==========\] (?:\S+: )?(\d+) test\(s\) run\.", test, re.M)))
        if not ran:
            is_skip = re.search(r"^Test (Skipped|Not Run)", test, re.M | re.I) or "SKIP_RETURN_CODE" in test
            passed, failed, skipped = (passed + bool(ok), failed + (not ok and not is_skip),
                                       skipped + bool(is_skip and not ok))
            continue
        bad = sum(map(int, re.findall(r"^\[  FAILED  \] (?:\S+: )?(\d+) test\(s\)", test, re.M)))
        left = sum(map(int, re.findall(r"^\[  SKIPPED \] (?:\S+: )?(\d+) test\(s\)", test, re.M)))
        passed, failed, skipped = passed + ran - bad - left, failed + bad, skipped + left
        if not ok and not bad:
            failed += 1
    return passed, failed, skipped


def main():
    log = pathlib.Path(sys.argv[1]) / "Testing/Temporary/LastTest.log"
    passed, failed, skipped = count(log.read_text(errors="replace")) if log.exists() else (0, 0, 0)
    if len(sys.argv) > 3:
        passed, failed = passed + int(sys.argv[2]), failed + int(sys.argv[3])
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))


if __name__ == "__main__":
    main()
