"""The check of a CDR's price and quantities, and its explanation."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from examples import example, model
from price_examples import Example, element, examples, tariff_of

from generated.gateway_models import CdrCheck, CdrExplanation, CdrRuleName, CdrVerdict
from generated.ocpi_models import CDR, Session, Tariff
from workflows.charging import cdr_check, explanation, periods, pricing

ZONE = "Europe/Amsterdam"
TARIFF_REMARKS = [each for each in CdrRuleName if each.value.startswith(("locations.", "tariffs."))]
CHARGED_AND_PARKED = "13"  # 21 minutes of charging and 16 of parking, both in steps of 10
PER_KWH = element([["E", 0.25, 1]])
START, STOP = "2026-06-02T08:00:00Z", "2026-06-02T09:00:00Z"
HOUR = [{"type": "ENERGY", "volume": 10}, {"type": "TIME", "volume": 1}]
ONE_HOUR: dict[str, Any] = {
    "start_date_time": START,
    "stop_date_time": STOP,
    "total_energy": 10,
    "total_time": 1,
    "total_parking_time": None,
    "total_cost": 2.5,
    "charging_periods": [{"start_date_time": START, "dimensions": HOUR}],
}


def worked(number: str) -> Example:
    return next(each for each in examples() if each.number == number)


def cdr_of(worked_example: Example, **changes: Any) -> CDR:
    """The CDR that our node sends for a worked example."""
    bill = pricing.bill(worked_example.tariff, worked_example.start, worked_example.slices, ZONE)
    stop = worked_example.start + sum(each.seconds for each in worked_example.slices) * timedelta(seconds=1)
    body = example(
        "CDR",
        start_date_time=f"{worked_example.start:%Y-%m-%dT%H:%M:%SZ}",
        stop_date_time=f"{stop:%Y-%m-%dT%H:%M:%SZ}",
        tariffs=[worked_example.tariff.model_dump(mode="json", exclude_none=True)],
        charging_periods=[each.model_dump(mode="json") for each in periods.charging_periods(bill.parts)],
        total_cost=float(bill.total or 0),
        **vars(periods.totals(bill.parts)),
    )
    result: CDR = model("CDR", body | changes)
    return result


def priced(*elements: dict[str, Any], **changes: Any) -> CDR:
    """An hour of charging 10 kWh at 2.50, with a tariff of these elements, and with *changes*."""
    tariff = tariff_of(list(elements) or [PER_KWH]).model_dump(mode="json", exclude_none=True)
    result: CDR = model("CDR", example("CDR", **{"tariffs": [tariff], **ONE_HOUR, **changes}))
    return result


def checked(
    cdr: CDR, zone: str | None = None, stored: Tariff | None = None, sessions: Sequence[Session] = ()
) -> CdrCheck:
    return cdr_check.examine(cdr, zone, stored, sessions).check


def explained(cdr: CDR) -> CdrExplanation:
    return explanation.written(cdr, cdr_check.examine(cdr, None, None))


def found(check: CdrCheck) -> list[str]:
    return [rule.name.value.removeprefix("cdrs.") for rule in check.rules if rule.name not in TARIFF_REMARKS]


def remarks(check: CdrCheck) -> dict[CdrRuleName, str]:
    return {rule.name: rule.text for rule in check.rules if rule.name in TARIFF_REMARKS}


@pytest.mark.parametrize("worked_example", examples(), ids=lambda each: each.number)
def test_a_cdr_of_ours_agrees(worked_example: Example) -> None:
    check = checked(cdr_of(worked_example))

    assert (CdrVerdict.AGREES, float(worked_example.total)) == (check.verdict, check.computed)
    assert set(found(check)) <= {"power-unclear"}


@pytest.mark.parametrize("worked_example", examples(), ids=lambda each: each.number)
def test_a_cdr_with_another_total_differs(worked_example: Example) -> None:
    claimed = float(worked_example.total + 7)

    check = checked(cdr_of(worked_example, total_cost=claimed))

    assert CdrVerdict.DIFFERS == check.verdict
    assert (claimed, float(worked_example.total), 7) == (check.claimed, check.computed, check.difference)
    assert "total-cost" in found(check)


@pytest.mark.parametrize(
    ("number", "total", "variant"),
    [
        ("14", "0.5167", None),
        ("14", "0.6667", "dimension"),
        (CHARGED_AND_PARKED, "0.8833", "none"),
        ("11", "1.45", "segment"),
        ("14", "0.4333", "last"),
    ],
)
def test_another_way_of_rounding_is_named(number: str, total: str, variant: str | None) -> None:
    check = checked(cdr_of(worked(number), total_cost=float(total)))

    assert (CdrVerdict.WARNING if variant else CdrVerdict.AGREES) == check.verdict
    assert variant is None or f"(variant `{variant}`)" in check.rules[-1].text


def test_times_in_utc_are_named() -> None:
    """08:00 to 09:00 in UTC is 10:00 to 11:00 at the location."""
    morning = element([["E", 0.25, 1]], {"end_time": "10:00"})

    check = checked(priced(morning, element([["E", 0.5, 1]])))

    assert (CdrVerdict.WARNING, 5) == (check.verdict, check.computed)
    assert "(variant `utc`)" in check.rules[-1].text


@pytest.mark.parametrize("claimed", [2.5, 3.75])
def test_a_period_across_a_change_of_the_price_may_be_split(claimed: float) -> None:
    before = element([["E", 0.25, 1]], {"end_time": "10:30"})

    check = checked(priced(before, element([["E", 0.5, 1]]), total_cost=claimed))

    assert (CdrVerdict.AGREES, claimed, ["period-spans-price-change"]) == (
        check.verdict,
        check.computed,
        found(check),
    )
    assert "start_time and end_time at 2026-06-02T08:30:00Z" in check.rules[-1].text


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"total_energy": 10.1}, ["total-energy"]),
        ({"total_time": 1.1}, ["total-time", "total-time"]),
        ({"total_parking_time": 0.5}, ["total-parking-time"]),
        ({"stop_date_time": "2026-06-02T10:00:00Z"}, ["total-time"]),
        ({"start_date_time": "2026-06-02T07:59:00Z"}, ["total-time", "period-gap"]),
        ({"start_date_time": "2026-06-02T08:01:00Z"}, ["total-time", "period-order"]),
        ({"stop_date_time": "2026-06-02T08:30:00Z"}, ["total-time", "period-overlong"]),
    ],
    ids=lambda each: str(each)[:40],
)
def test_quantities_that_contradict_each_other_are_warnings(
    changes: dict[str, Any], rules: list[str]
) -> None:
    check = checked(priced(PER_KWH, **changes))

    assert (CdrVerdict.WARNING, 2.5, rules) == (check.verdict, check.computed, found(check))


def test_energy_in_wh_is_divided_before_it_is_priced() -> None:
    hour = [{"type": "ENERGY", "volume": 10_000}, {"type": "TIME", "volume": 1}]

    check = checked(priced(PER_KWH, charging_periods=[{"start_date_time": START, "dimensions": hour}]))

    assert (CdrVerdict.WARNING, 2.5, ["energy-in-wh"]) == (check.verdict, check.computed, found(check))


def test_a_period_without_time_is_noticed_if_time_has_a_price() -> None:
    without = [{"start_date_time": START, "dimensions": HOUR[:1]}]

    assert ["time-missing"] == found(
        checked(priced(PER_KWH, element([["T", 1, 1]]), charging_periods=without))
    )
    assert [] == found(checked(priced(PER_KWH, charging_periods=without)))


def test_an_average_power_near_a_limit_is_unclear() -> None:
    """The average is 10 kW."""
    limits = (9.8, 9.95, 10, 10.05, 10.2)
    tariffs = [[element([["E", 0.25, 1]], {"min_power": limit}), PER_KWH] for limit in limits]

    assert [[], *[["power-unclear"]] * 3, []] == [found(checked(priced(*each))) for each in tariffs]


def test_one_of_several_tariffs_or_all_of_them_together_may_explain_the_price() -> None:
    energy, time = ([element([["E", 0.25, 1]])], [element([["T", 1, 1]])])
    tariffs = [tariff_of(each).model_dump(mode="json", exclude_none=True) for each in (energy, time)]

    for claimed in (2.5, 1, 3.5):
        check = checked(priced(tariffs=tariffs, total_cost=claimed))
        assert (CdrVerdict.AGREES, claimed) == (check.verdict, check.computed)
        assert ["tariff-several"] == found(check)
    assert CdrVerdict.DIFFERS == checked(priced(tariffs=tariffs, total_cost=7)).verdict


def test_a_tariff_in_another_currency_is_not_used() -> None:
    check = checked(priced(PER_KWH, currency="SEK"))

    assert (CdrVerdict.NOT_JUDGED, None, ["currency-mixed"]) == (check.verdict, check.computed, found(check))


def test_without_tariffs_the_stored_one_of_the_connector_is_a_guess() -> None:
    cdr = priced(tariffs=None)

    assert ["tariff-missing"] == found(checked(cdr))
    check = checked(cdr, stored=tariff_of([PER_KWH]))
    assert (CdrVerdict.AGREES, ["tariff-guessed"]) == (check.verdict, found(check))


@pytest.mark.parametrize(
    ("own", "stored", "country", "price"),
    [
        ("Asia/Tokyo", None, "NLD", 2.5),
        (None, "Asia/Tokyo", "NLD", 2.5),
        ("../x", "Asia/Tokyo", "NLD", 2.5),
        (None, None, "JPN", 2.5),
        (None, "Europe/Paris", "NLD", 5),
        (None, None, "USA", None),
        ("Europe", "", "USA", None),
    ],
)
def test_local_times_need_a_time_zone(
    own: str | None, stored: str | None, country: str, price: float | None
) -> None:
    """The hour is 17:00 in Japan. The United States have many zones."""
    cdr = priced(element([["E", 0.25, 1]], {"start_time": "12:00"}), element([["E", 0.5, 1]]))
    cdr.location.time_zone, cdr.location.country = own, country

    check = checked(cdr, stored)

    assert price == check.computed
    assert price is not None or ["zone-missing"] == found(check)


@pytest.mark.parametrize(
    ("currency", "off_by", "verdict"),
    [
        ("EUR", 0.01, "AGREES"),
        ("EUR", 0.02, "DIFFERS"),
        ("JPY", 1, "AGREES"),
        ("JPY", 1.01, "DIFFERS"),
        ("KWD", 0.001, "AGREES"),
        ("KWD", 0.002, "DIFFERS"),
    ],
)
def test_a_price_may_be_off_by_a_minor_unit_of_its_currency(
    currency: str, off_by: float, verdict: str
) -> None:
    cdr = priced(PER_KWH, total_cost=2.5 + off_by)
    cdr.currency = currency
    for tariff in cdr.tariffs or ():
        tariff.currency = currency

    assert verdict == checked(cdr).verdict


@pytest.mark.parametrize(
    "changes",
    [
        {"stop_date_time": "9999-12-31T23:59:59Z"},
        {"start_date_time": "1000-01-01T00:00:00Z"},
        {"total_cost": 99_999_999_999, "total_energy": 1e-300},
        {
            "charging_periods": [
                {"start_date_time": time, "dimensions": [{"type": type_, "volume": 99_999_999_999}]}
                for time in ("9999-12-31T23:59:59.999Z", "1000-01-01T00:00:00Z")
                for type_ in ("ENERGY", "TIME", "PARKING_TIME", "FLAT")
            ]
        },
    ],
    ids=lambda each: next(iter(each)),
)
def test_extreme_values_are_checked(changes: dict[str, Any]) -> None:
    limits = {
        "start_time": "10:00",
        "max_duration": 2**31 - 1,
        "max_kwh": 99_999_999_999,
        "min_power": 1e-300,
    }
    extreme = element([["E", 99_999_999_999, 2**31 - 1], ["P", 1e-300, 1], ["T", 99_999_999_999, 1]])

    cdr = priced(element([["E", 1, 1], ["F", 0, 1]], limits), extreme, **changes)

    assert "NaN" not in explained(cdr).json_text()


def test_a_cdr_that_takes_too_long_is_not_judged() -> None:
    cdr = priced(*[PER_KWH] * 100, charging_periods=[{"start_date_time": START, "dimensions": HOUR}] * 1000)

    check = checked(cdr)

    assert CdrVerdict.NOT_JUDGED == check.verdict
    assert "too many" in check.rules[-1].text


@pytest.mark.parametrize("worked_example", examples(), ids=lambda each: each.number)
def test_the_lines_and_the_components_of_an_explanation_add_up_to_the_total(worked_example: Example) -> None:
    cdr = cdr_of(worked_example)

    result = explained(cdr)

    components = [component for period in result.periods for component in period.components]
    for amounts in (result.lines, components):
        assert float(worked_example.total) == pytest.approx(sum(each.amount for each in amounts), abs=6e-5)
    assert sum(line.billed for line in result.lines) == sum(
        each.billed for each in components if each.price is not None
    )
    assert (float(worked_example.total), CdrVerdict.AGREES) == (result.total, result.check.verdict)
    assert len(result.periods) == len(cdr.charging_periods)


def test_an_explanation_says_why_an_element_matched_and_others_did_not() -> None:
    """Example 25: on Friday from 22:00 to 06:00 an hour costs 1, otherwise 2. Two hours from 23:00 on."""
    friday, saturday = explained(cdr_of(worked("25"))).periods

    limits = "start_time 22:00 and end_time 06:00: it is"
    [_, component] = sorted(friday.components, key=lambda each: each.dimension)
    assert ("TIME", 0, 3600, 1, 1) == (
        component.dimension,
        component.element,
        component.measured,
        component.price,
        component.amount,
    )
    assert [
        f"It matches {limits} 23:00:00.",
        "It matches day_of_week FRIDAY: it is Friday.",
    ] == component.reasons
    assert "TIME: 3600 s at 1 EUR per hour = 1 EUR." == component.text
    [energy, time] = sorted(saturday.components, key=lambda each: each.dimension)
    assert [
        "The element has no restrictions.",
        "Element 0 of tariff 1 does not match day_of_week FRIDAY: it is Saturday.",
    ] == time.reasons
    assert ("ENERGY: 2000 Wh, free.", None) == (energy.text, energy.element)


def test_an_explanation_says_what_a_step_adds() -> None:
    result = explained(cdr_of(worked("10")))

    assert [
        "TIME: 1500 s at 1.2 EUR per hour = 0.5 EUR.",
        "TIME: 600 s, billed as 1200 s in steps of 900 s at 2.4 EUR per hour = 0.8 EUR.",
    ] == [line.text for line in result.lines]
    assert "The tariff and the charging periods give 1.3 EUR, as the CDR claims." == result.text


def test_a_tariff_without_a_fallback_is_noticed() -> None:
    day = element([["E", 0.25, 1]], {"start_time": "08:00", "end_time": "20:00"})
    parking = element([["P", 2, 1]], {"day_of_week": []})

    check = checked(priced(day))

    assert CdrVerdict.AGREES == check.verdict
    assert (
        "Free where no element matches, because every element has restrictions: tariff 1."
        == remarks(check)[CdrRuleName.tariffs_no_fallback]
    )
    assert CdrRuleName.tariffs_no_fallback not in remarks(checked(priced(day, parking)))


def test_two_prices_of_one_kind_in_an_element_are_noticed() -> None:
    check = checked(priced(element([["E", 0.25, 1], ["E", 9, 1], ["F", 0, 1]])))

    assert (
        "Two prices of one kind in an element, of which the first counts: ENERGY in element 0 of tariff 1."
        == remarks(check)[CdrRuleName.tariffs_duplicate_component]
    )
    assert (CdrVerdict.AGREES, 2.5) == (check.verdict, check.computed)


def test_equal_times_are_noticed() -> None:
    limits = [{"start_time": f"0{hour}:00", "end_time": f"0{hour}:00"} for hour in range(5)]

    check = checked(priced(*[element([["E", 0.25, 1]], each) for each in limits], PER_KWH))

    assert (
        "start_time and end_time are equal, which is read as the whole day: 00:00 in element 0 of tariff 1, "
        "01:00 in element 1 of tariff 1, 02:00 in element 2 of tariff 1, and 2 more."
        == remarks(check)[CdrRuleName.tariffs_equal_times]
    )
    assert (CdrVerdict.AGREES, 2.5) == (check.verdict, check.computed)


def test_a_connector_whose_tariff_nobody_has_is_noticed() -> None:
    cdr = priced(PER_KWH)
    connector = (cdr.location.evses or [])[0].connectors[0]

    assert (
        f"The connector names the tariff {connector.tariff_id}, which is neither in the CDR nor stored."
        == remarks(checked(cdr))[CdrRuleName.locations_tariff_unknown]
    )
    assert CdrRuleName.locations_tariff_unknown not in remarks(checked(cdr, stored=tariff_of([PER_KWH])))
    connector.tariff_id = "1"
    assert {} == remarks(checked(cdr))


@pytest.mark.parametrize(
    ("changes", "is_noticed"),
    [
        ({"total_cost": 3.5}, True),
        ({"total_cost": 2.505}, False),
        ({"total_cost": None}, False),
        ({"total_cost": 3.5, "status": "ACTIVE"}, False),
        ({"total_cost": 3.5, "auth_id": "SOMEBODY"}, False),
        ({"total_cost": 3.5, "currency": "SEK"}, False),
    ],
)
def test_a_session_that_ended_with_another_price_is_noticed(
    changes: dict[str, Any],
    is_noticed: bool,  # noqa: FBT001  (a case)
) -> None:
    cdr = priced(PER_KWH)
    its_own = {"auth_id": cdr.auth_id, "currency": "EUR", "status": "COMPLETED"}
    session = model("Session", example("Session", **{**its_own, **changes}))
    session.location.id = cdr.location.id

    check = checked(cdr, sessions=[session])

    assert (["sessions.total-cost"] if is_noticed else []) == found(check)
    assert (CdrVerdict.WARNING if is_noticed else CdrVerdict.AGREES) == check.verdict
    assert CdrVerdict.AGREES == checked(cdr, sessions=[session, session]).verdict


def test_every_rule_has_a_test() -> None:
    text = Path(__file__).read_text()

    assert [] == [
        name.value
        for name in CdrRuleName
        if f'"{name.value.removeprefix("cdrs.")}"' not in text and f"CdrRuleName.{name.name}" not in text
    ]
