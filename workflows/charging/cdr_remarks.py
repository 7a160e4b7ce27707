"""Whether a CDR agrees with its session, and remarks on its tariffs. docs/pricing.md P23."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal

from generated.gateway_models import CdrRule, CdrRuleName
from generated.ocpi_models import CDR, Session, SessionStatus, Tariff
from workflows.charging.restrictions import Elements, decimal_of

_NAMED = 3
"""The most places that a remark names."""


def of_session(cdr: CDR, sessions: Iterable[Session], tolerance: Decimal) -> Iterator[CdrRule]:
    """Whether the session of a CDR claims another price.

    A CDR of OCPI 2.1.1 does not name its session. The session is the only one of *sessions* that is COMPLETED
    and has the same driver, location and currency. *tolerance*: by how much the prices may differ.
    """
    ended = [
        session
        for session in sessions
        if (session.status, session.auth_id, session.location.id, session.currency)
        == (SessionStatus.COMPLETED, cdr.auth_id, cdr.location.id, cdr.currency)
    ]
    cost = ended[0].total_cost if len(ended) == 1 else None
    if cost is not None and abs(decimal_of(cost) - decimal_of(cdr.total_cost)) > tolerance:
        text = f"The CDR claims {cdr.total_cost} {cdr.currency}, its session {ended[0].id} ended with {cost}."
        yield CdrRule(name=CdrRuleName.sessions_total_cost, text=text)


def of_connector(cdr: CDR, stored: Tariff | None) -> Iterator[CdrRule]:
    """Whether the connector of a CDR names a tariff that neither the CDR nor its owner has.

    *stored*: the stored tariff of the name that `unsent_tariff` returns.
    """
    name = unsent_tariff(cdr)
    if name is not None and stored is None:
        text = f"The connector names the tariff {name}, which is neither in the CDR nor stored."
        yield CdrRule(name=CdrRuleName.locations_tariff_unknown, text=text)


def unsent_tariff(cdr: CDR) -> str | None:
    """The id of the tariff that the connectors of a CDR name.

    None if they name none or several, or if the CDR itself has that tariff.
    """
    connectors = (connector for evse in cdr.location.evses or () for connector in evse.connectors)
    names = {connector.tariff_id for connector in connectors if connector.tariff_id}
    sent = {tariff.id for tariff in cdr.tariffs or ()}
    return names.pop() if len(names) == 1 and not names & sent else None


def of_tariffs(tariffs: Sequence[Tariff]) -> Iterator[CdrRule]:
    """The remarks on *tariffs*, at most one of each name."""
    for name, places_of, meaning in _RULES:
        places = [place for tariff in tariffs for place in places_of(tariff)]
        if places:
            yield CdrRule(name=name, text=f"{meaning}: {first_of(places)}.")


def first_of(places: Sequence[str], separator: str = ", ") -> str:
    """The first three of *places*, and how many more there are."""
    more = f", and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return f"{separator.join(places[:_NAMED])}{more}"


def _without_fallback(tariff: Tariff) -> Iterator[str]:
    """The tariff, if each of its elements has restrictions. Spec: 2.1.1 mod_tariffs 3.1."""
    if all(element.conditions for element in Elements(tariff.elements).all):
        yield f"tariff {tariff.id}"


def _duplicates(tariff: Tariff) -> Iterator[str]:
    for index, element in enumerate(tariff.elements):
        counts = Counter(str(component.type) for component in element.price_components)
        yield from (
            f"{name} in element {index} of tariff {tariff.id}" for name, count in counts.items() if count > 1
        )


def _equal_times(tariff: Tariff) -> Iterator[str]:
    for index, element in enumerate(tariff.elements):
        limits = element.restrictions
        if limits and limits.start_time and limits.start_time == limits.end_time:
            yield f"{limits.start_time} in element {index} of tariff {tariff.id}"


_RULES: tuple[tuple[CdrRuleName, Callable[[Tariff], Iterator[str]], str], ...] = (
    (
        CdrRuleName.tariffs_no_fallback,
        _without_fallback,
        "Free where no element matches, because every element has restrictions",
    ),
    (
        CdrRuleName.tariffs_duplicate_component,
        _duplicates,
        "Two prices of one kind in an element, of which the first counts",
    ),
    (
        CdrRuleName.tariffs_equal_times,
        _equal_times,
        "start_time and end_time are equal, which is read as the whole day",
    ),
)
