"""Compare two recordings of the suite: the responses and stored objects of tests before and after a change.

    RECORD_TO=before scripts/test ...         (twice, where a second one tells what differs by chance)
    .venv/bin/python scripts/compare_recordings.py before after [--again before2] [--all]

What a test received is compared test by test; what was stored, module by module, because a job may end
during a later test. An entry that only one of `before` and `before2` has differs by chance: it is not
compared, nor is another answer to the same request or another document of the same owner. Exit 1 when
anything differs or a test is missing.
"""

import argparse
import json
import sys
from pathlib import Path

Entries = dict[tuple[str, str], set[str]]
SHOWN = 5
"""The number of differences that are shown per test without --all."""


def load(folder: Path) -> Entries:
    """The entries of a recording: received by test, stored by module.

    Raises:
        SystemExit: the folder holds no recording.
    """
    entries: Entries = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            test = record["test"]
            entries.setdefault((test, "received"), set()).update(record["received"])
            entries.setdefault((test.partition("::")[0], "stored"), set()).update(record["stored"])
    if not entries:
        sys.exit(f"{folder} holds no recording")
    return entries


def differences(before: Entries, after: Entries, again: Entries) -> dict[tuple[str, str], list[str]]:
    """The removed (-) and added (+) entries, by test or module."""
    found = {}
    for key, entries in before.items():
        if key not in after:
            found[key] = ["- the test did not run"]
            continue
        second = again.get(key, entries)
        by_chance = {head(text) for text in entries ^ second}
        gone = sorted((entries & second) - after[key])
        new = sorted(text for text in after[key] - entries - second if head(text) not in by_chance)
        if gone or new:
            found[key] = [*(f"- {text}" for text in gone), *(f"+ {text}" for text in new)]
    return found


def head(text: str) -> str:
    """The request and status of an answer, or the table and owner of a document."""
    return text.partition(" {")[0]


def main() -> None:
    """Print every difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--again", type=Path, help="a second recording of the version of `before`")
    parser.add_argument("--all", action="store_true", help="print all differences of each test, in full")
    options = parser.parse_args()
    before, after = load(options.before), load(options.after)
    found = differences(before, after, load(options.again) if options.again else before)
    for (test, kind), lines in found.items():
        print(f"{test} ({kind}, {len(lines)})")
        for line in lines if options.all else lines[:SHOWN]:
            print(f"    {line if options.all else line[:300]}")
    tests = [sum(kind == "received" for _, kind in entries) for entries in (before, after)]
    print(f"{tests[0]} tests before, {tests[1]} after; {len(found)} tests or modules differ")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
