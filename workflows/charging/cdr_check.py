"""Check whether the tariffs and charging periods of a CDR give its price. docs/pricing.md P21 to P24.

OCPI 2.1.1 leaves open how quantities are rounded. If the usual rules do not explain the claimed price,
those of other implementations are tried; one that does is named in a warning.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from generated.gateway_models import CdrCheck, CdrRule, CdrRuleName, CdrVerdict
from generated.ocpi_models import CDR, ChargingPeriod, Session, Tariff
from workflows.charging import cdr_quantities, cdr_remarks, cuts, periods, pricing, zones
from workflows.charging.cuts import Part
from workflows.charging.periods import Reading
from workflows.charging.pricing import Line, StepRule
from workflows.charging.restrictions import Dimension, Elements, Kind, decimal_of

MOST_WORK = 20_000
"""The most charging periods times elements that are judged; a hostile CDR could take minutes otherwise."""

_LONGEST = timedelta(days=31)  # of a session that is split for a second opinion
_LAST_YEAR = 9000  # years near 9999 have no local time
_ONE_PERCENT = Decimal("0.01")

_CENT = Decimal("0.01")
_NO_CENTS = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF")
_MINOR_UNITS = {
    **dict.fromkeys((*_NO_CENTS, "XOF", "XPF"), Decimal(1)),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), Decimal("0.001")),
}
"""ISO 4217: the minor unit of currencies that have no cents."""
_ROUNDED_VOLUME = Decimal("0.00005")  # what a volume with 4 decimals may be off

_REMARKS = {
    CdrRuleName.cdrs_tariff_several,
    CdrRuleName.cdrs_tariff_guessed,
    CdrRuleName.cdrs_period_spans_price_change,
    CdrRuleName.cdrs_power_unclear,
    CdrRuleName.locations_tariff_unknown,
    CdrRuleName.tariffs_duplicate_component,
    CdrRuleName.tariffs_equal_times,
    CdrRuleName.tariffs_no_fallback,
}
"""Rules that say how a CDR was judged, and remarks on its tariffs. The others are warnings."""


@dataclass(frozen=True)
class Judgement:
    """The price of a CDR by one or several tariffs, in one way of computing it.

    *variant*: the name of the way, unless it is ours.
    """

    tariffs: list[Tariff]
    elements: Elements
    parts: list[Part]
    lines: list[Line]
    total: Decimal
    variant: str | None = None

    @property
    def tolerance(self) -> Decimal:
        """What rounded volumes may add to or take from the total, without the minor unit."""
        components = [charge.component for charge in pricing.charges(self.parts)]
        prices = [each.price for each in components if each.dimension is not Dimension.FLAT]
        return _ROUNDED_VOLUME * sum(prices, Decimal(0))


@dataclass(frozen=True)
class Examination:
    """The check of a CDR, the price by our rules that it is based on, if there is one, and the zone."""

    check: CdrCheck
    judgement: Judgement | None
    zone: ZoneInfo | None


def examine(
    cdr: CDR, zone: str | None, stored: Tariff | None, sessions: Sequence[Session] = ()
) -> Examination:
    """The check of a CDR with the price that it is based on.

    *zone*: the time zone of the stored location, if there is one. *stored*: as in `cdr_remarks.of_connector`.
    *sessions*: those of the CDR's owner that started with it.
    """
    readings = periods.read(cdr.charging_periods, cdr.stop_date_time)
    rules = list(cdr_quantities.rules(cdr, readings))
    if any(rule.name is CdrRuleName.cdrs_energy_in_wh for rule in rules):
        readings = [replace(each, tenths=round(Decimal(each.tenths) / 1000)) for each in readings]
    tariffs, remarks = _tariffs(cdr, stored)
    rules += [
        *cdr_remarks.of_session(cdr, sessions, _minor_unit(cdr)),
        *cdr_remarks.of_connector(cdr, stored),
        *cdr_remarks.of_tariffs(tariffs),
        *remarks,
    ]
    local = _zone(cdr, zone)
    if not tariffs:
        return _not_judged(cdr, rules, local)
    candidates = [[tariff] for tariff in tariffs]
    candidates += [tariffs] if len(tariffs) > 1 else []
    if local is None and any(_elements(candidate).times for candidate in candidates):
        text = "The tariff depends on the local time, and the time zone of the location is not known."
        return _not_judged(cdr, [*rules, CdrRule(name=CdrRuleName.cdrs_zone_missing, text=text)], local)
    if work(cdr.charging_periods, tariffs) > MOST_WORK:
        text = "The CDR has too many tariffs and charging periods to be judged."
        return _not_judged(cdr, [*rules, CdrRule(name=CdrRuleName.cdrs_tariff_several, text=text)], local)
    return _judged(_Attempts(cdr, readings, candidates, local), rules)


def work(charging_periods: Sequence[ChargingPeriod], tariffs: Sequence[Tariff]) -> int:
    """How much there is to judge: charging periods times elements."""
    return len(charging_periods) * sum(len(tariff.elements) for tariff in tariffs)


def _minor_unit(cdr: CDR) -> Decimal:
    return _MINOR_UNITS.get(cdr.currency, _CENT)


def _elements(tariffs: Sequence[Tariff]) -> Elements:
    return Elements([element for tariff in tariffs for element in tariff.elements])


def _zone(cdr: CDR, stored: str | None) -> ZoneInfo | None:
    times = [cdr.stop_date_time, *(period.start_date_time for period in cdr.charging_periods)]
    if max(periods.instant(time).year for time in times) > _LAST_YEAR:
        return None
    own = zones.named(cdr.location.time_zone) or zones.named(stored)
    return own or zones.of_country(cdr.location.country)


def _tariffs(cdr: CDR, stored: Tariff | None) -> tuple[list[Tariff], list[CdrRule]]:
    """The tariffs that may have priced a CDR, and what is to be said about them."""
    sent: list[Tariff] = cdr.tariffs or []
    rules: list[CdrRule] = []
    usable = [tariff for tariff in sent if tariff.currency == cdr.currency]
    if not sent:
        usable, rules = _stored_tariffs(cdr, stored)
    elif len(usable) < len(sent):
        others = ", ".join(sorted({tariff.currency for tariff in sent} - {cdr.currency}))
        text = f"The CDR is in {cdr.currency}, but has tariffs in {others}, which are not used."
        rules = [CdrRule(name=CdrRuleName.cdrs_currency_mixed, text=text)]
    if len(usable) > 1:
        text = f"The CDR has {len(usable)} tariffs. OCPI 2.1.1 cannot say which of them priced what."
        rules.append(CdrRule(name=CdrRuleName.cdrs_tariff_several, text=text))
    return usable, rules


def _stored_tariffs(cdr: CDR, stored: Tariff | None) -> tuple[list[Tariff], list[CdrRule]]:
    """The tariff that the connector of a CDR names, as it is now."""
    if stored is None or stored.currency != cdr.currency:
        text = "The CDR has no tariffs, and its connector names none that is stored in its currency."
        return [], [CdrRule(name=CdrRuleName.cdrs_tariff_missing, text=text)]
    text = f"The CDR has no tariffs. The stored tariff {stored.id} of its connector is used as it is now."
    return [stored], [CdrRule(name=CdrRuleName.cdrs_tariff_guessed, text=text)]


def _not_judged(cdr: CDR, rules: list[CdrRule], zone: ZoneInfo | None) -> Examination:
    verdict = CdrCheck(verdict=CdrVerdict.NOT_JUDGED, claimed=cdr.total_cost, rules=rules)
    return Examination(verdict, None, zone)


class _Attempts:
    """The ways to explain the price of a CDR."""

    def __init__(
        self, cdr: CDR, readings: list[Reading], candidates: list[list[Tariff]], zone: ZoneInfo | None
    ) -> None:
        self.cdr, self.readings, self.zone = cdr, readings, zone
        self.start = periods.instant(cdr.start_date_time)
        self.pieces = list(periods.pieces(readings, self.start))
        self.usual = [self._judge(candidate, zone) for candidate in candidates]

    def _judge(
        self, tariffs: list[Tariff], zone: ZoneInfo | None, rule: StepRule = StepRule.SESSION, name: str = ""
    ) -> Judgement:
        elements = _elements(tariffs)
        return self._price(tariffs, elements, list(cuts.judge(elements, self.pieces, zone)), rule, name)

    @staticmethod
    def _price(
        tariffs: list[Tariff], elements: Elements, parts: list[Part], rule: StepRule, name: str
    ) -> Judgement:
        lines, total = pricing.price(parts, rule)
        return Judgement(tariffs, elements, parts, lines, total, name or None)

    def split(self, judgement: Judgement) -> Judgement:
        """The same price after splitting each period wherever a restriction changes."""
        if not self._is_short():
            return judgement
        pieces = cuts.cut(judgement.elements, self.start, self.pieces, self.zone)
        parts = list(cuts.judge(judgement.elements, pieces, self.zone))
        return self._price(judgement.tariffs, judgement.elements, parts, StepRule.SESSION, "")

    def _is_short(self) -> bool:
        seconds = sum(piece.seconds for piece in self.pieces)
        ends = [self.start, periods.instant(self.cdr.stop_date_time), *(piece.start for piece in self.pieces)]
        return seconds <= _LONGEST.total_seconds() and max(ends) - min(ends) <= _LONGEST

    def usual_and_split(self) -> Iterator[Judgement]:
        """The ways of our own rules."""
        yield from self.usual
        yield from map(self.split, self.usual)

    def variants(self) -> Iterator[Judgement]:
        """The ways of other implementations."""
        for rule in (StepRule.LAST, StepRule.DIMENSION, StepRule.SEGMENT, StepRule.NONE):
            for usual in self.usual:
                yield self._price(usual.tariffs, usual.elements, usual.parts, rule, rule.value)
        for usual in self.usual:
            if usual.elements.times:
                yield self._judge(usual.tariffs, zones.UTC, name="utc")

    def explains(self, judgement: Judgement) -> bool:
        """Whether a price is the claimed one, but for rounding."""
        return abs(self.difference(judgement)) <= _minor_unit(self.cdr) + judgement.tolerance

    def difference(self, judgement: Judgement) -> Decimal:
        """Claimed less computed."""
        return decimal_of(self.cdr.total_cost) - judgement.total

    def flips(self, judgement: Judgement) -> list[str]:
        """Where a restriction changes the price inside a period, and which one."""
        if not self._is_short():
            return []
        found = []
        for piece in self.pieces:
            pieces = cuts.cut(judgement.elements, self.start, [piece], self.zone)
            for before, after in pairwise(cuts.judge(judgement.elements, pieces, self.zone)):
                names = _changed(judgement.elements, before, after)
                if before.chosen != after.chosen and names:
                    found.append(f"{', '.join(names)} at {after.start:%Y-%m-%dT%H:%M:%SZ}")
        return found


def _changed(elements: Elements, before: Part, after: Part) -> list[str]:
    """The names of the restrictions that match in one of two parts only."""
    conditions = [condition for element in elements.all for condition in element.conditions]
    changed = (
        " and ".join(each.names)
        for each in conditions
        if each.holds(before.moment) != each.holds(after.moment)
    )
    return list(dict.fromkeys(changed))


def _judged(attempts: _Attempts, rules: list[CdrRule]) -> Examination:
    explained = next(filter(attempts.explains, attempts.usual_and_split()), None)
    variant = None if explained else next(filter(attempts.explains, attempts.variants()), None)
    closest = min(attempts.usual, key=lambda each: abs(attempts.difference(each)))
    if variant is not None:  # our own price of the same tariffs
        closest = next(each for each in attempts.usual if each.tariffs is variant.tariffs)
    judgement = explained or closest
    rules = [*rules, *_remarks(attempts, judgement)]
    if explained is None:
        rules.append(_cost_rule(attempts.cdr, judgement, variant))
    if explained is None and variant is None:
        verdict = CdrVerdict.DIFFERS
    else:
        verdict = CdrVerdict.WARNING if {rule.name for rule in rules} - _REMARKS else CdrVerdict.AGREES
    result = CdrCheck(
        verdict=verdict,
        claimed=attempts.cdr.total_cost,
        computed=float(judgement.total),
        difference=float(attempts.difference(judgement)),
        rules=rules,
    )
    return Examination(result, judgement, attempts.zone)


def _cost_rule(cdr: CDR, judgement: Judgement, variant: Judgement | None) -> CdrRule:
    claimed = decimal_of(cdr.total_cost)
    text = (
        f"The CDR claims {claimed:f} {cdr.currency}. Its tariff and charging periods give "
        f"{judgement.total:f}; the difference is {claimed - judgement.total:f}."
    )
    if variant is not None:
        text += f" {_VARIANTS[variant.variant or '']} give {variant.total:f} (variant `{variant.variant}`)."
    return CdrRule(name=CdrRuleName.cdrs_total_cost, text=text)


_VARIANTS = {
    "last": "Rounding up only the kind of time that came last would",
    "dimension": "Rounding up both kinds of time would",
    "segment": "Rounding up each run of periods with one price would",
    "none": "Rounding up nothing would",
    "utc": "Times and dates in UTC instead of local time would",
}


def _remarks(attempts: _Attempts, judgement: Judgement) -> Iterable[CdrRule]:
    """What cannot be known about a price."""
    flips = attempts.flips(judgement)
    if flips:
        text = f"The price changes inside a charging period: {cdr_remarks.first_of(flips, '; ')}."
        yield CdrRule(name=CdrRuleName.cdrs_period_spans_price_change, text=text)
    unclear = sum(_is_power_unclear(part, judgement.elements.power_limits) for part in judgement.parts)
    if unclear:
        text = (
            f"The power of {unclear} charging periods is not known, or within 1 % of a limit of the tariff."
        )
        yield CdrRule(name=CdrRuleName.cdrs_power_unclear, text=text)
    priced = {c.dimension for element in judgement.elements.all for c in element.components}
    timeless = sum(each.charging is None and each.parking is None for each in attempts.readings)
    if timeless and priced & {kind.dimension for kind in Kind}:
        text = f"The tariff has a price for time, but {timeless} charging periods have no time."
        yield CdrRule(name=CdrRuleName.cdrs_time_missing, text=text)


def _is_power_unclear(part: Part, limits: Sequence[Decimal]) -> bool:
    if part.kind is Kind.PARKING or not limits:
        return False
    if part.moment.power is None:
        return True
    power = Decimal(part.moment.power) / 100
    return any(abs(power - limit) <= limit * _ONE_PERCENT for limit in limits)
