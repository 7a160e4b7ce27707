"""Results of handlers that are more than a model or a stored document."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import errors
from storage import deviations
from storage.objects import Stored

_T = TypeVar("_T")


OLDER = "older than the stored object"


@dataclass(frozen=True, slots=True)
class Written:
    """201 without a body where *is_new*, else 200. Spec: 2.1.1 status_codes.

    *location*: the URL of the stored object, if OCPI requires it.
    """

    is_new: bool
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """200 without a body: nothing was stored."""


@dataclass(frozen=True, slots=True)
class Explained(Generic[_T]):
    """200 with *data*, and *reason* in the status message."""

    data: _T
    reason: str


def written(outcome: Stored) -> Written | Ignored:
    """The response to a PUT or PATCH with this *outcome*."""
    if outcome is Stored.STALE:
        deviations.note(deviations.STALE, OLDER)
    if outcome in (Stored.STALE, Stored.UNCHANGED):
        return Ignored()
    return Written(is_new=outcome is Stored.CREATED)


def require_found(document: _T | None) -> _T:
    """The document.

    Raises:
        errors.NotFound: it is None.
    """
    if document is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return document
