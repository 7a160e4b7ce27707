"""Explain the price of a CDR: what prices each charging period, why, and what it costs."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from generated.gateway_models import (
    CdrCheck,
    CdrExplanation,
    CdrVerdict,
    ExplainedKind,
    ExplainedPeriod,
    PeriodComponent,
    PricedDimension,
    PriceLine,
    PriceUnit,
)
from generated.ocpi_models import CDR, Location, Tariff
from storage import locations, sessions, tariffs
from storage.database import Connection
from storage.locations import LocationPath
from storage.networks import Network
from storage.objects import Party
from storage.owned import Listed, Owned
from workflows.charging import cdr_check, cdr_remarks, pricing
from workflows.charging.cdr_check import Examination, Judgement
from workflows.charging.pricing import Component, Dimension, Line, Part
from workflows.charging.restrictions import TENTHS_PER_KWH, Condition, Element, Moment

_PRICED = {Dimension.ENERGY: "kWh", Dimension.TIME: "hour", Dimension.PARKING_TIME: "hour"}
_UNITS = {
    Dimension.ENERGY: PriceUnit.Wh,
    Dimension.TIME: PriceUnit.s,
    Dimension.PARKING_TIME: PriceUnit.s,
    Dimension.FLAT: PriceUnit.session,
}
_DECIMALS = 10  # of amounts


def check(connection: Connection, network: Network, found: Owned) -> CdrCheck:
    """The check of a stored CDR."""
    return _examined(connection, network, found.owner, CDR.model_validate_json(found.document)).check


def checks(connection: Connection, network: Network, page: Sequence[Listed]) -> list[CdrCheck | None]:
    """The check of each CDR of a page; None once the page has more to judge than one CDR may have."""
    left, found = cdr_check.MOST_WORK, []
    for each in page:
        cdr = None if each.document is None else CDR.model_validate_json(each.document)
        left -= 0 if cdr is None else cdr_check.work(cdr.charging_periods, cdr.tariffs or ())
        found.append(
            None if cdr is None or left < 0 else _examined(connection, network, each.owner, cdr).check
        )
    return found


def explain(connection: Connection, network: Network, found: Owned) -> CdrExplanation:
    """The explanation of a stored CDR."""
    cdr = CDR.model_validate_json(found.document)
    return written(cdr, _examined(connection, network, found.owner, cdr))


def written(cdr: CDR, examination: Examination) -> CdrExplanation:
    """The explanation of an examined CDR."""
    judgement, result = examination.judgement, examination.check
    explanation = CdrExplanation(
        cdr_id=cdr.id,
        currency=cdr.currency,
        text=_result(cdr, examination),
        periods=[],
        lines=[],
        check=result,
        time_zone=None if examination.zone is None else examination.zone.key,
    )
    if judgement is not None:
        explanation.total = float(judgement.total)
        writer = _Writer(judgement, cdr.currency)
        explanation.periods = list(writer.periods())
        explanation.lines = list(map(writer.line, judgement.lines))
    return explanation


def _examined(connection: Connection, network: Network, owner: Party, cdr: CDR) -> Examination:
    zone = None
    if cdr.location.time_zone is None:
        stored = locations.get(connection, network.id, owner, LocationPath(cdr.location.id))
        zone = None if stored is None else Location.model_validate_json(stored.text).time_zone
    tariff = _unsent_tariff(connection, network, owner, cdr)
    started = sessions.started_at(connection, network.id, owner, cdr.start_date_time)
    return cdr_check.examine(cdr, zone, tariff, started)


def _unsent_tariff(connection: Connection, network: Network, owner: Party, cdr: CDR) -> Tariff | None:
    """The stored tariff that the connectors of a CDR name, if the CDR does not have it."""
    name = cdr_remarks.unsent_tariff(cdr)
    found = None if name is None else tariffs.get(connection, network.id, owner, name)
    return None if found is None else Tariff.model_validate_json(found.text)


def _result(cdr: CDR, examination: Examination) -> str:
    if examination.judgement is None:
        return f"The CDR cannot be priced. {examination.check.rules[-1].text}"
    computed = f"{_text(examination.judgement.total)} {cdr.currency}"
    if examination.check.verdict is CdrVerdict.AGREES:
        return f"The tariff and the charging periods give {computed}, as the CDR claims."
    return f"The tariff and the charging periods give {computed}. The CDR claims {cdr.total_cost}."


class _Writer:
    """Writes the parts and lines of one price."""

    def __init__(self, judgement: Judgement, currency: str) -> None:
        self.judgement, self.currency = judgement, currency
        self.origins = [
            (tariff.id, index) for tariff in judgement.tariffs for index, _ in enumerate(tariff.elements)
        ]

    def line(self, line: Line) -> PriceLine:
        """What a component costs in the whole session."""
        component = line.component
        tariff_id, element = self.origins[component.element]
        return PriceLine(
            dimension=PricedDimension(component.dimension),
            tariff_id=tariff_id,
            element=element,
            measured=float(line.measured),
            billed=float(line.billed),
            unit=_UNITS[component.dimension],
            price=float(component.price),
            step_size=component.step,
            amount=round(float(line.cost), _DECIMALS),
            text=self._sentence(line),
        )

    def _sentence(self, line: Line) -> str:
        component = line.component
        price, cost = _text(component.price), _text(line.cost)
        if component.dimension is Dimension.FLAT:
            return f"FLAT: {price} {self.currency} per session."
        unit = _UNITS[component.dimension]
        billed = f", billed as {_text(line.billed)} {unit}" if line.billed != line.measured else ""
        steps = f" in steps of {component.step} {unit}" if billed else ""
        return (
            f"{component.dimension}: {_text(line.measured)} {unit}{billed}{steps} at {price} {self.currency} "
            f"per {_PRICED[component.dimension]} = {cost} {self.currency}."
        )

    def periods(self) -> Iterator[ExplainedPeriod]:
        """The parts with what prices them."""
        charges = list(pricing.charges(self.judgement.parts))
        last = {each.component: each for each in charges}
        surpluses = {each.component: each.billed - each.measured for each in self.judgement.lines}
        lines: dict[int, list[Line]] = {}
        for each in charges:
            measured = each.quantity / pricing.per_unit(each.component.dimension)
            surplus = surpluses[each.component] if each is last[each.component] else 0
            lines.setdefault(each.part, []).append(pricing.line(each.component, measured, measured + surplus))
        for number, part in enumerate(self.judgement.parts):
            yield self._period(part, lines.get(number, []))

    def _period(self, part: Part, lines: list[Line]) -> ExplainedPeriod:
        power = part.moment.power
        components = [self._component(line, part) for line in lines]
        return ExplainedPeriod(
            start=f"{part.start:%Y-%m-%dT%H:%M:%SZ}",
            seconds=part.seconds,
            kind=ExplainedKind(part.kind),
            energy_kwh=part.tenths / TENTHS_PER_KWH,
            power_kw=None if power is None else power / 100,
            components=components + list(_free(part)),
        )

    def _component(self, line: Line, part: Part) -> PeriodComponent:
        whole = self.line(line)
        reasons = list(self._reasons(line.component, part.moment))
        return PeriodComponent(reasons=reasons, **dict(whole))

    def _reasons(self, component: Component, moment: Moment) -> Iterator[str]:
        """Why the element of a component matched, and earlier elements with this dimension did not."""
        elements = self.judgement.elements.all
        conditions = elements[component.element].conditions
        for condition in conditions:
            yield f"It matches {_reason(elements[component.element], condition, moment)}."
        if not conditions:
            yield "The element has no restrictions."
        for number, element in enumerate(elements[: component.element]):
            if any(each.dimension is component.dimension for each in element.components):
                unmet = next(each for each in element.conditions if not each.holds(moment))
                tariff_id, index = self.origins[number]
                reason = _reason(element, unmet, moment)
                yield f"Element {index} of tariff {tariff_id} does not match {reason}."


def _reason(element: Element, condition: Condition, moment: Moment) -> str:
    """A restriction and what it was compared with."""
    restrictions = element.restrictions
    values = {name: getattr(restrictions, name) for name in condition.names}
    limits = (
        f"{name} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in values.items()
        if value is not None
    )
    return f"{' and '.join(limits)}: {_compared(condition.names[0], moment)}"


def _compared(name: str, moment: Moment) -> str:
    """What a restriction with this first name was compared with."""
    if moment.wall is not None and name in ("start_time", "start_date", "day_of_week"):
        form = {"start_time": "%H:%M:%S", "start_date": "%Y-%m-%d", "day_of_week": "%A"}[name]
        return f"it is {moment.wall:{form}}"
    if name == "min_kwh":
        return f"the session has {_text(Decimal(moment.tenths) / TENTHS_PER_KWH)} kWh so far"
    if name == "min_duration":
        return f"the session has lasted {moment.elapsed} s"
    return f"the power is {'unknown' if moment.power is None else f'{_text(Decimal(moment.power) / 100)} kW'}"


def _free(part: Part) -> Iterator[PeriodComponent]:
    """The quantities of a part that no component prices."""
    for dimension, quantity in ((Dimension.ENERGY, part.tenths), (part.kind.dimension, part.seconds)):
        if quantity and dimension not in part.chosen:
            unit, measured = _UNITS[dimension], quantity / pricing.per_unit(dimension)
            yield PeriodComponent(
                dimension=PricedDimension(dimension),
                reasons=["No element that matches has a price for it."],
                measured=float(measured),
                billed=float(measured),
                unit=unit,
                amount=0,
                text=f"{dimension}: {_text(measured)} {unit}, free.",
            )


def _text(number: Decimal) -> str:
    """A number with up to four decimals."""
    return f"{number:.4f}".rstrip("0").rstrip(".")
