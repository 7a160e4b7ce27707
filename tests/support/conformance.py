"""The census of conformance numbers: which are tested, and how many hold. Printed at the end of a run."""

import pytest

LATER = frozenset({102, 103, 145, 146, 157, 179, 180, *range(188, 194), 197, 199, *range(200, 207)})
"""What a network does on its own initiative, and so cannot be shown yet."""

CHAPTERS = {
    "A transport and authorization": range(1, 14),
    "B envelope and status codes": range(14, 32),
    "C types": range(32, 54),
    "D versions": range(54, 63),
    "E credentials": range(63, 86),
    "F pagination and filters": range(86, 104),
    "G ownership, PUT and PATCH": range(104, 118),
    "H locations": range(118, 136),
    "I sessions": range(136, 147),
    "J CDRs": range(147, 158),
    "K tariffs": range(158, 166),
    "L tokens and authorization": range(166, 183),
    "M commands": range(183, 200),
    "N gateway": range(207, 219),
}
REQUIRED = frozenset(range(1, 219)) - LATER


class Census:
    """Collects the outcome of every test that carries a number."""

    def __init__(self) -> None:
        self.any = False
        self.failed: set[int] = set()
        self.passed: set[int] = set()

    @staticmethod
    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        """Let each test's numbers travel with its report, from whatever process runs it."""
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
        """The numbers all of whose tests passed."""
        return self.passed - self.failed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the census."""
        say = terminalreporter.write_line
        if not self.any:
            return
        terminalreporter.section("conformance")
        for name, numbers in CHAPTERS.items():
            required = REQUIRED & set(numbers)
            say(f"{name:32} {len(required & self.holding):3} of {len(required):3} hold")
        say(f"{'all':32} {len(REQUIRED & self.holding):3} of {len(REQUIRED):3} hold")
        untested = sorted(REQUIRED - self.passed - self.failed)
        if untested:
            say(f"without a test in this run: {', '.join(map(str, untested))}")
        if self.failed:
            say(f"failing: {', '.join(map(str, sorted(self.failed)))}")
