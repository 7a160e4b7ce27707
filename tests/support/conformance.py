"""The census of conformance numbers, printed at the end of a run: which are tested, and how many hold."""

import itertools
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/conformance.md"


def chapters() -> dict[str, list[int]]:
    """The numbers of each chapter of docs/conformance.md."""
    found: dict[str, list[int]] = {}
    for line in PAGE.read_text().splitlines():
        if heading := re.match(r"## ([A-Z])\. (.*)", line):
            numbers = found.setdefault(f"{heading[1]} {heading[2]}", [])
        elif row := re.match(r"\| (\d+) \|", line):
            numbers.append(int(row[1]))
    return found


def later() -> set[int]:
    """The numbers that the page lists as not implemented."""
    [sentence] = re.findall(r"^Not implemented yet are (.*?):", PAGE.read_text(), re.MULTILINE)
    ranges = re.findall(r"(\d+)(?: to (\d+))?", sentence)
    return {number for first, last in ranges for number in range(int(first), int(last or first) + 1)}


CHAPTERS = chapters()
NUMBERS = frozenset(itertools.chain.from_iterable(CHAPTERS.values()))
REQUIRED = NUMBERS - later()


class Census:
    """Collects the outcome of every test with a number."""

    def __init__(self) -> None:
        self.any = False
        self.failed: set[int] = set()
        self.passed: set[int] = set()

    @staticmethod
    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        """Attach each test's numbers to its report, so that they arrive from any process."""
        for item in items:
            numbers = [n for mark in item.iter_markers("ocpi") for n in mark.args]
            item.user_properties.append(("ocpi", numbers))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test that failed anywhere, or passed its call."""
        numbers = dict(report.user_properties).get("ocpi", [])
        self.any = self.any or bool(numbers)
        if report.failed:
            self.failed.update(numbers)
        elif report.when == "call" and report.passed:
            self.passed.update(numbers)

    @property
    def holding(self) -> set[int]:
        """The numbers whose tests have all passed."""
        return self.passed - self.failed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the census."""
        say = terminalreporter.write_line
        if not self.any:
            return
        terminalreporter.section("conformance")
        for name, numbers in CHAPTERS.items():
            required = REQUIRED & set(numbers)
            if not required:
                continue
            say(f"{name:40} {len(required & self.holding):3} of {len(required):3} hold")
        say(f"{'all':40} {len(REQUIRED & self.holding):3} of {len(REQUIRED):3} hold")
        untested = sorted(REQUIRED - self.passed - self.failed)
        if untested:
            say(f"without a test in this run: {', '.join(map(str, untested))}")
        if self.failed:
            say(f"failing: {', '.join(map(str, sorted(self.failed)))}")
