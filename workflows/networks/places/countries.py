"""Countries: codes, address forms, languages and currencies."""

from openapi.iso_3166 import ALPHA_3

_NUMBER_FIRST = frozenset({"FR", "GB", "IE", "LU"})
_LANGUAGES = {
    "AT": "de", "BE": "nl", "CH": "de", "CZ": "cs", "DE": "de", "DK": "da", "ES": "es", "FI": "fi",
    "FR": "fr", "HR": "hr", "HU": "hu", "IT": "it", "LU": "fr", "NL": "nl", "NO": "no", "PL": "pl",
    "PT": "pt", "SE": "sv", "SI": "sl", "SK": "sk",
}  # fmt: skip
_CURRENCIES = {
    "AE": "AED", "AL": "ALL", "AU": "AUD", "BA": "BAM", "BR": "BRL", "CA": "CAD", "CH": "CHF", "CL": "CLP",
    "CN": "CNY", "CZ": "CZK", "DK": "DKK", "FO": "DKK", "GB": "GBP", "GE": "GEL", "GG": "GBP", "GI": "GBP",
    "GL": "DKK", "HK": "HKD", "HU": "HUF", "IL": "ILS", "IM": "GBP", "IN": "INR", "IS": "ISK", "JE": "GBP",
    "JP": "JPY", "KR": "KRW", "LI": "CHF", "MA": "MAD", "MD": "MDL", "MK": "MKD", "MX": "MXN", "NO": "NOK",
    "NZ": "NZD", "PL": "PLN", "PR": "USD", "RO": "RON", "RS": "RSD", "SA": "SAR", "SE": "SEK", "SG": "SGD",
    "SJ": "NOK", "TH": "THB", "TR": "TRY", "TW": "TWD", "UA": "UAH", "US": "USD", "ZA": "ZAR",
}  # fmt: skip
_ALPHA_2 = {three: two for two, three in ALPHA_3.items()}


def alpha3(alpha2: str) -> str:
    """The alpha-3 code of an upper-case alpha-2 code; KeyError if there is no such country."""
    return ALPHA_3[alpha2]


def alpha2(alpha3: str) -> str:
    """The alpha-2 code of an upper-case alpha-3 code; any other text is returned unchanged."""
    return _ALPHA_2.get(alpha3, alpha3)


def language(alpha2: str) -> str:
    """The ISO 639-1 code of the language of generated texts; English for countries without an entry."""
    return _LANGUAGES.get(alpha2, "en")


def currency(alpha2: str) -> str:
    """The ISO 4217 code of the tariffs; EUR for countries without an entry."""
    return _CURRENCIES.get(alpha2, "EUR")


def address(alpha2: str, street: str, number: int) -> str:
    """Street and house number in the order of the country."""
    return f"{number} {street}" if alpha2 in _NUMBER_FIRST else f"{street} {number}"
