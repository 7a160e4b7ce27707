"""The tree in the docstring of errors.py is the tree of its classes."""

import inspect
import re

import errors

BRANCH = re.compile(r"^([│ ]*)[├└]── (\w+)")


def documented() -> set[tuple[str, str]]:
    """Each class of the docstring with its parent."""
    path, found = ["Refusal"], set()
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        branch = BRANCH.match(line)
        if branch is not None:
            depth = 1 + len(branch[1]) // 4
            path[depth:] = [branch[2]]
            found.add((path[depth], path[depth - 1]))
    return found


def test_the_docstring_shows_the_tree() -> None:
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    refusals = {each for each in classes if issubclass(each, errors.Refusal) and each is not errors.Refusal}

    assert {(each.__name__, each.__bases__[0].__name__) for each in refusals} == documented()
