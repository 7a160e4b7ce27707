"""Code, tests, the contract and pages cite only what is in the repository."""

import re
from collections.abc import Iterator
from pathlib import Path

import conformance
import pytest
from nodes import ROOT

FOLDERS = ("docs", "handlers", "openapi", "scripts", "storage", "tests", "workflows")
EXCLUDED = ("tests/data/", "docs/releases/")
LINES = re.compile(r"\s*\n(?:\s*#)? *")

PAGE = re.compile(r"(?<![\w./*-])(?:\.\./)?[\w*-]+(?:/[\w*-]+)*\.md\b")
MODULE = re.compile(r"(?<![\w./*%-])(?:\w+/)+\w+\.py\b")
HEADINGS = re.compile(r'(docs/[\w-]+\.md)((?:,?(?: and)? "[^"]+")+)')
LIST = r"((?:(?:, | and | to |, and )?{}\b)+)"
MARKERS = re.compile(r"pytest\.mark\.ocpi\(([\d, ]+)")
NUMBERS = re.compile(r"[Cc]onformance " + LIST.format(r"(?:\d+|[A-Z])"))
CASES = re.compile("Security " + LIST.format(r"S\d+"))
UNAVAILABLE = re.compile(
    r"\b[Dd]esign (?:sections? )?\d|\b[Rr]eview \d|\.\./shared|\bsecurity \d\.\d|\bseed reference\b"
)

CONFORMANCE = {"and", "to", *map(str, conformance.NUMBERS), *(name[0] for name in conformance.CHAPTERS)}
SECURITY = set(re.findall(r"^- (S\d+): ", (ROOT / "docs/security-cases.md").read_text(), re.MULTILINE))


def files() -> list[str]:
    """The files that people write, except this one."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")] + list(ROOT.glob("*.*"))
    names = sorted(path.relative_to(ROOT).as_posix() for path in found if path.is_file())
    written = [name for name in names if Path(name).suffix in ("", ".md", ".py", ".toml", ".yaml")]
    return [name for name in written if not name.startswith(EXCLUDED) and name != "tests/test_citations.py"]


def text(name: str) -> str:
    """The text of a file without line breaks, because a citation may continue in the next line."""
    return LINES.sub(" ", (ROOT / name).read_text())


def headings(page: str) -> set[str]:
    """The headings of a page."""
    return set(re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE))


def exists(page: str, place: str) -> bool:
    """Whether *page*, cited in the file *place*, is in the repository."""
    if place.startswith("scripts/") and page.startswith("docs/measurements/"):
        return True  # a script writes it
    pattern = page.replace("DATABASE", "*")
    folders = ROOT, (ROOT / place).parent, ROOT / "docs/measurements"
    return any(any(folder.glob(pattern)) for folder in folders)


def dangling(content: str, place: str) -> Iterator[str]:
    """The citations in *content*, the text of the file *place*, that have no target."""
    yield from (page for page in PAGE.findall(content) + MODULE.findall(content) if not exists(page, place))
    for page, names in HEADINGS.findall(content):
        existing = headings(page) if exists(page, place) else set()
        yield from (f'{page} "{name}"' for name in re.findall('"([^"]+)"', names) if name not in existing)
    for cited in NUMBERS.findall(content) + MARKERS.findall(content):
        yield from (f"conformance {each}" for each in re.findall(r"\w+", cited) if each not in CONFORMANCE)
    for cited in CASES.findall(content):
        yield from (f"Security {case}" for case in re.findall(r"S\d+", cited) if case not in SECURITY)
    yield from UNAVAILABLE.findall(content)


def test_every_citation_has_a_target() -> None:
    assert len(files()) > 200
    assert [] == [f"{name}: {citation}" for name in files() for citation in dangling(text(name), name)]


@pytest.mark.parametrize(
    "citation",
    [
        "design.md section 4",
        "Design section 10",
        "docs/nothing.md",
        'docs/gateway.md "Nothing"',
        'docs/gateway.md "Networks" and "Nothing"',
        "Conformance 12, 13 and 219",
        "conformance 300 to 301",
        "Conformance Q",
        "@pytest.mark.ocpi(12, 219)",
        "Security S1, S54",
        "Review 5.13",
    ],
)
def test_a_citation_without_a_target_is_found(citation: str) -> None:
    assert list(dangling(citation, "handlers/dispatch/app.py"))
