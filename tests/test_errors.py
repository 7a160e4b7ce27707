"""The tree in the docstring of errors.py matches its classes."""

import inspect
import re

import errors

BRANCH = re.compile(r"^([│ ]*)[├└]── (\w+)")


def documented() -> set[tuple[str, str]]:
    """Each class in the docstring, with its parent."""
    path, found = ["Refusal"], set()
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        branch = BRANCH.match(line)
        if branch is not None:
            depth = 1 + len(branch[1]) // 4
            path[depth:] = [branch[2]]
            found.add((path[depth], path[depth - 1]))
    return found


def public_parent(child: type) -> str:
    """The name of the nearest public base class."""
    return next(each.__name__ for each in child.__mro__[1:] if not each.__name__.startswith("_"))


def test_the_docstring_shows_the_class_tree() -> None:
    classes = [each for name, each in inspect.getmembers(errors, inspect.isclass) if not name.startswith("_")]
    refusals = {each for each in classes if issubclass(each, errors.Refusal) and each is not errors.Refusal}

    assert {(each.__name__, public_parent(each)) for each in refusals} == documented()
