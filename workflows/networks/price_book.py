"""Prices at generated sites: one tariff per kind of charge point and currency.

A tariff follows from its id alone, so sites created at different times have the same prices.
Prices are without VAT, in the currency of the tariff. Spec: 2.1.1 mod_tariffs.
"""

from generated.ocpi_models import (
    DisplayText,
    KnownTariffDimensionType,
    PowerType,
    PriceComponent,
    Tariff,
    TariffElement,
    TariffRestrictions,
)
from storage.sites import UNSTAMPED
from workflows.networks.places import countries

AC, DC, HPC = "AC", "DC", "HPC"
"""Alternating current; direct current; direct current of 150 kW and more at one connector."""

_HIGH_POWER = 150

_WHOLE_UNITS_FROM = 50  # from here on a price list has no cents
_STEP_WH, _STEP_SECONDS = 1, 60
_BLOCKING_FROM, _BLOCKING_TO = "07:00", "22:00"

# Prices in euro: per kWh, per start, per hour of parking after charging has ended.
_EURO = {AC: (0.45, 0.0, 1.2), DC: (0.59, 0.5, 6.0), HPC: (0.69, 0.5, 12.0)}

# Units of the currency per euro, roughly: price lists are rounded.
_TO_THE_EURO = {
    "AED": 4, "ALL": 100, "AUD": 1.7, "BAM": 2, "BRL": 6, "CAD": 1.5, "CHF": 1, "CLP": 1000, "CNY": 8,
    "CZK": 25, "DKK": 7.5, "EUR": 1, "GBP": 0.9, "GEL": 3, "HKD": 9, "HUF": 400, "ILS": 4, "INR": 90,
    "ISK": 150, "JPY": 160, "KRW": 1500, "MAD": 11, "MDL": 20, "MKD": 60, "MXN": 20, "NOK": 11, "NZD": 2,
    "PLN": 4.5, "RON": 5, "RSD": 117, "SAR": 4, "SEK": 11, "SGD": 1.5, "THB": 38, "TRY": 40, "TWD": 35,
    "UAH": 45, "USD": 1.1, "ZAR": 20,
}  # fmt: skip


def tariff_id(power_type: PowerType, kw: float, country: str) -> str:
    """The id of the tariff of a connector; *kw* is its rating, *country* an alpha-2 code."""
    kind = DC if power_type is PowerType.DC else AC
    return f"{HPC if kind == DC and kw >= _HIGH_POWER else kind}-{countries.currency(country)}"


def tariff(tariff_id: str) -> Tariff:
    """The tariff with that id, not stamped yet."""
    kind, _, currency = tariff_id.partition("-")
    prices = tuple(_rounded(price * _TO_THE_EURO[currency]) for price in _EURO[kind])
    text, elements = _street(currency, *prices) if kind == AC else _fast(currency, *prices)
    return Tariff(
        id=tariff_id,
        currency=currency,
        tariff_alt_text=[DisplayText(language="en", text=text)],
        elements=elements,
        last_updated=UNSTAMPED,
    )


def _rounded(price: float) -> float:
    return round(price, 2) if price < _WHOLE_UNITS_FROM else round(price)


def _street(currency: str, energy: float, _start: float, blocking: float) -> tuple[str, list[TariffElement]]:
    """AC prices: per kWh, and by day a fee for parking after charging has ended."""
    text = (
        f"{currency} {_price_text(energy)} per kWh; from {_BLOCKING_FROM} to {_BLOCKING_TO} "
        f"{currency} {_price_text(blocking)} per hour once charging has ended"
    )
    by_day = [_by_kwh(energy), _by_hour(blocking)]
    hours = TariffRestrictions(start_time=_BLOCKING_FROM, end_time=_BLOCKING_TO)
    return text, [
        TariffElement(price_components=by_day, restrictions=hours),
        TariffElement(price_components=[_by_kwh(energy)]),
    ]


def _fast(currency: str, energy: float, start: float, blocking: float) -> tuple[str, list[TariffElement]]:
    text = (
        f"{currency} {_price_text(start)} to start and {_price_text(energy)} per kWh; "
        f"{currency} {_price_text(blocking)} per hour once charging has ended"
    )
    flat = PriceComponent(type=KnownTariffDimensionType.FLAT, price=start, step_size=1)
    return text, [TariffElement(price_components=[flat, _by_kwh(energy), _by_hour(blocking)])]


def _price_text(price: float) -> str:
    return f"{price:.2f}" if price < _WHOLE_UNITS_FROM else f"{price}"


def _by_kwh(price: float) -> PriceComponent:
    return PriceComponent(type=KnownTariffDimensionType.ENERGY, price=price, step_size=_STEP_WH)


def _by_hour(price: float) -> PriceComponent:
    return PriceComponent(type=KnownTariffDimensionType.PARKING_TIME, price=price, step_size=_STEP_SECONDS)
