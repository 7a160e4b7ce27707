"""Field types and base classes of the generated models, for constraints that JSON Schema cannot express.

Requests may contain some values in a laxer form than OCPI defines: a time with an offset, a coordinate
with eight decimals, a price as a string. Each type here accepts the lax form and converts it to the
canonical one, so that a model contains only canonical values. pyproject.toml, [tool.datamodel-codegen],
maps the schemas of the contract to these types. See docs/architecture.md, "From request to response".

A validator that changes or tolerates a value reports it to the validation context, if there is one:
a function that takes a kind of deviation and an example. An error of type `RULE` means that the value
is well-formed but violates a rule; OCPI reports rule violations with HTTP 200.
"""

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from openapi.iso_3166 import ALPHA_3

RULE = "rule"

OFFSET = "time not in UTC"
DECIMALS = "coordinate with more than six decimals"
UNLISTED = "value that OCPI 2.1.1 does not list"
EXTENSION = "member that OCPI 2.1.1 does not have"
ALPHA_2 = "country as alpha-2"
END_DATE_TIME = "end_date_time in a CDR"


def _stop_at_first_invalid_item(schema: Any) -> None:
    """Set `fail_fast` on every list in a core schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "list":
            schema["fail_fast"] = True
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            _stop_at_first_invalid_item(part)


class Model(BaseModel):
    """The base of all generated models: no type conversion, unknown members are dropped.

    A list is validated only up to its first invalid item. Otherwise a small body could cause a million
    errors, and Pydantic keeps them all.
    """

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)  # a logged error shows no secret

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _stop_at_first_invalid_item(schema)
        return schema

    def json_text(self) -> str:
        """The JSON text that is stored and sent: no nulls, members in the order of the contract."""
        return self.model_dump_json(exclude_none=True)


def extension_members(value: Any) -> Iterator[str]:
    """The names of the non-null members of a model, at every level, that the contract does not define."""
    if isinstance(value, list):
        for item in value:
            yield from extension_members(item)
    elif isinstance(value, Model):
        yield from (
            name for name, extension in (value.__pydantic_extra__ or {}).items() if extension is not None
        )
        for member in value.__dict__.values():
            if isinstance(member, list | Model):
                yield from extension_members(member)


def _report(info: ValidationInfo, kind: str, example: str) -> None:
    if info.context is not None:
        info.context(kind, example)


def _broken_rule(message: str, **values: Any) -> PydanticCustomError:
    return PydanticCustomError(RULE, message, values)


# Times

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC_SECONDS = re.compile(
    r"[1-9]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ", re.ASCII
)
_TIME_OF_DAY = r"(?:[01]\d|2[0-3]):[0-5]\d"
_ANY_TIME = re.compile(
    rf"([1-9]\d{{3}}-\d\d-\d\dT{_TIME_OF_DAY}:[0-5]\d)(?:\.(\d{{1,9}}))?(Z|[+-]{_TIME_OF_DAY})?", re.ASCII
)


def _parsed(text: str) -> tuple[datetime, str]:
    """The whole second and the milliseconds of *text*; a time without an offset is UTC."""
    match = _ANY_TIME.fullmatch(text)
    with contextlib.suppress(ValueError):  # such as 30 February
        if match is not None:
            second = datetime.fromisoformat(match[1] + (match[3] or "Z"))
            return second, (match[2] or "")[:3].ljust(3, "0")
    raise PydanticCustomError("datetime", "Input should be a time such as 2026-11-20T12:00:00Z")


def _utc_time(text: str, info: ValidationInfo) -> str:
    """*text* in UTC, with three fraction digits or none."""
    if _UTC_SECONDS.fullmatch(text):
        return text
    second, milliseconds = _parsed(text)
    try:
        utc: datetime | None = second.astimezone(UTC)
    except OverflowError:
        utc = None
    if utc is None or utc.year < 1000:  # noqa: PLR2004
        raise _broken_rule("{text} is outside the years 1000 to 9999 in UTC", text=text)
    time = f"{utc:%Y-%m-%dT%H:%M:%S}{'' if milliseconds == '000' else f'.{milliseconds}'}Z"
    if text[-6:-5] in ("+", "-"):
        _report(info, OFFSET, f"{info.field_name} {text} to {time}")
    return time


def _query_time(text: str) -> int:
    """*text* in milliseconds since 1970. A `+` that was decoded to a space is read as `+`."""
    second, milliseconds = _parsed(text.replace(" ", "+"))
    return (second - _EPOCH) // timedelta(milliseconds=1) + int(milliseconds)


def utc_now() -> str:
    """The current time as a `DateTime` of whole seconds, the form of all times that the server creates."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def time_order(time: str) -> str:
    """The sort key of a `DateTime` or a time of day. The `Z` is removed because `.` sorts before it."""
    return time.removesuffix("Z")


DateTime = Annotated[str, AfterValidator(_utc_time)]
DateTimeQuery = Annotated[int, BeforeValidator(_query_time)]


# Coordinates

_SIX_DECIMALS = Decimal("0.000001")


def _coordinate(integer_digits: int) -> AfterValidator:
    """Round to six decimals, half-even, or down if half-even would add a digit before the point."""
    pattern = re.compile(rf"-?\d{{1,{integer_digits}}}\.\d{{1,17}}", re.ASCII)

    def rounded(text: str, info: ValidationInfo) -> str:
        if not pattern.fullmatch(text):
            message = "Input should be degrees with up to {digits} digits before the point, such as 52.370912"
            raise PydanticCustomError("coordinate", message, {"digits": integer_digits})
        integer, _, decimals = text.partition(".")
        if len(decimals) <= len("123456"):
            return f"{integer}.{decimals.ljust(6, '0')}"
        sign = "-" if text.startswith("-") else ""
        exact = abs(Decimal(text))
        value = exact.quantize(_SIX_DECIMALS, ROUND_HALF_EVEN)
        if value >= 10**integer_digits:
            value = exact.quantize(_SIX_DECIMALS, ROUND_DOWN)
        degrees = sign + f"{value:f}".zfill(len(integer) - len(sign) + len(".123456"))
        _report(info, DECIMALS, f"{info.field_name} {text} to {degrees}")
        return degrees

    return AfterValidator(rounded)


Latitude = Annotated[str, _coordinate(2)]
Longitude = Annotated[str, _coordinate(3)]


# Numbers


def _without_fraction(value: Any) -> Any:
    """Convert 230.0 to 230."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_UpTo99999 = Annotated[int, Field(ge=0, le=99_999), BeforeValidator(_without_fraction)]
_UpTo100000 = Annotated[int, Field(ge=0, le=100_000), BeforeValidator(_without_fraction)]
_UpTo31Bits = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(_without_fraction)]

Ampere = Volt = _UpTo100000
Pixels = _UpTo99999
ReservationId = Seconds = StepSize = _UpTo31Bits
Weekday = Annotated[int, Field(ge=1, le=7), BeforeValidator(_without_fraction)]

# A union keeps 2 as 2 and 2.0 as 2.0; a float field would write both as 2.0.
Number = Annotated[
    Annotated[int, Field(ge=0, le=99_999_999_999)] | Annotated[float, Field(ge=0, le=99_999_999_999.9999)],
    Field(union_mode="left_to_right"),
]
Percentage = Annotated[
    Annotated[int, Field(ge=0, le=100)] | Annotated[float, Field(ge=0, le=100)],
    Field(union_mode="left_to_right"),
]

_DECIMAL_TEXT = re.compile(r"(?:0|[1-9]\d{0,10})(?:\.\d{1,4})?", re.ASCII)


def _number_of_text(value: Any) -> Any:
    """Convert the text "2.50" to the number 2.5."""
    return float(value) if isinstance(value, str) and _DECIMAL_TEXT.fullmatch(value) else value


Money = Annotated[Number, BeforeValidator(_number_of_text)]


# Codes and names


def _alpha_3(code: str, info: ValidationInfo) -> str:
    """Convert NL to NLD."""
    if len(code) == 3:  # noqa: PLR2004
        return code
    if code not in ALPHA_3:
        raise _broken_rule("{code} is not an ISO 3166-1 country", code=code)
    _report(info, ALPHA_2, f"{info.field_name} {code} to {ALPHA_3[code]}")
    return ALPHA_3[code]


def _report_unlisted(name: str, info: ValidationInfo) -> str:
    _report(info, UNLISTED, f"{info.field_name}: {name}")
    return name


CountryAlpha3 = Annotated[str, Field(pattern="^[A-Z]{2,3}$"), AfterValidator(_alpha_3)]
CountryCode = Annotated[str, StringConstraints(pattern="^[A-Za-z]{2}$", to_upper=True)]
PartyId = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9]{3}$", to_upper=True)]
UnlistedName = Annotated[
    str, Field(max_length=64, pattern="^[A-Z][A-Z0-9_]*$"), AfterValidator(_report_unlisted)
]


# Parameters


def _integer(text: str) -> int:
    """Parse *text* as a JSON integer; Pydantic alone would also accept 1_0, +5 and 1.0."""
    if not re.fullmatch(r"-?\d{1,20}", text, re.ASCII):
        raise PydanticCustomError(
            "int_parsing", "Input should be a valid integer, unable to parse string as an integer"
        )
    return int(text)


IntegerText = Annotated[int, BeforeValidator(_integer)]


# Unions


def _bulk_item_kind(item: Any) -> str:
    """The tag of *item*, a member of a request or a model that is being serialized."""
    has_template = "template" in item if isinstance(item, dict) else hasattr(item, "template")
    return "from template" if has_template else "written out"


# The classes are generated. Pydantic looks them up in the module of the model that has such a field.
LocationBulkItem = Annotated[
    Annotated["LocationFromTemplateRequest", Tag("from template")]  # type: ignore[name-defined]  # noqa: F821
    | Annotated["OcpiCreateLocationRequest", Tag("written out")],  # type: ignore[name-defined]  # noqa: F821
    Discriminator(_bulk_item_kind),
]


class BulkRequest(Model):
    """A request with a list of items that are validated one by one, because its text can be very large."""

    items_field: ClassVar[str] = "locations"

    @classmethod
    @functools.cache
    def outer(cls) -> type[Model]:
        """The same model without constraints on its items."""
        items = Annotated[(list[Any], *cls.model_fields[cls.items_field].metadata)]
        fields: dict[str, Any] = {cls.items_field: (items, ...)}
        return create_model(cls.__name__, __base__=Model, **fields)

    @classmethod
    @functools.cache
    def item_adapter(cls) -> TypeAdapter[Any]:
        """The type adapter that validates one item."""
        return TypeAdapter(get_args(cls.model_fields[cls.items_field].annotation)[0])


# Rules about several fields. The generated subclasses declare the fields. Declaring them here as well would
# move them to the front, also in the JSON text.


def _require_unique(items: Iterable[Any] | None, key: str) -> None:
    seen = set()
    for item in items or ():
        value = getattr(item, key)
        if value in seen:
            raise _broken_rule("{key} {value} occurs twice", key=key, value=value)
        seen.add(value)


class UniqueEvses(Model):
    """The EVSEs of a location have unique uids."""

    @field_validator("evses", check_fields=False)
    @classmethod
    def _each_uid_once(cls, evses: Any) -> Any:
        _require_unique(evses, "uid")
        return evses


class UniqueConnectors(Model):
    """The connectors of an EVSE have unique ids."""

    @field_validator("connectors", check_fields=False)
    @classmethod
    def _each_id_once(cls, connectors: Any) -> Any:
        _require_unique(connectors, "id")
        return connectors


class WeeklyPeriod(Model):
    """Times of day; `period_end` is later than `period_begin`. Spec: 2.1.1 mod_locations 4.19."""

    if TYPE_CHECKING:
        period_begin: str
        period_end: str

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.period_end <= self.period_begin:
            raise _broken_rule("period_end must be later than period_begin")
        return self


class Period(Model):
    """Points in time; `period_end`, if present, is not before `period_begin`."""

    if TYPE_CHECKING:
        period_begin: str
        period_end: str | None

    @model_validator(mode="after")
    def _ends_no_earlier_than_it_begins(self) -> Self:
        if self.period_end is not None and time_order(self.period_end) < time_order(self.period_begin):
            raise _broken_rule("period_end must not be before period_begin")
        return self


class OpeningHours(Model):
    """Opening hours have regular hours, or are around the clock."""

    if TYPE_CHECKING:
        regular_hours: Any
        twentyfourseven: bool | None

    @model_validator(mode="after")
    def _has_one_of_them(self) -> Self:
        if self.regular_hours is None and self.twentyfourseven is None:
            raise _broken_rule("one of regular_hours and twentyfourseven must be given")
        return self


class ChargingTimes(Model):
    """A CDR does not stop before it starts, and its tariffs are complete."""

    if TYPE_CHECKING:
        start_date_time: str
        stop_date_time: str
        tariffs: Any

    @model_validator(mode="before")
    @classmethod
    def _reads_end_date_time(cls, cdr: Any, info: ValidationInfo) -> Any:
        """Some peers use this name for the end of a CDR."""
        if not isinstance(cdr, dict) or "end_date_time" not in cdr or cdr.get("stop_date_time") is not None:
            return cdr
        _report(info, END_DATE_TIME, "end_date_time to stop_date_time")
        others = {name: value for name, value in cdr.items() if name != "end_date_time"}
        return {**others, "stop_date_time": cdr["end_date_time"]}

    @model_validator(mode="after")
    def _stops_after_it_starts(self) -> Self:
        if time_order(self.stop_date_time) < time_order(self.start_date_time):
            raise _broken_rule("stop_date_time must not be before start_date_time")
        return self

    @model_validator(mode="after")
    def _has_tariffs_that_were_stamped_by_their_owner(self) -> Self:
        for index, tariff in enumerate(self.tariffs or ()):
            if "last_updated" not in tariff.model_fields_set:
                raise _broken_rule("tariffs.{index}.last_updated must be given", index=index)
        return self


class Stamped(Model):
    """A tariff that is sent without `last_updated` gets the current time. Conformance 161.

    The member does not count as set, so that a CDR can detect a tariff that was sent without it.
    """

    if TYPE_CHECKING:
        last_updated: str | None

    @model_validator(mode="after")
    def _has_last_updated(self) -> Self:
        if self.last_updated is None:
            self.last_updated = utc_now()
            self.model_fields_set.discard("last_updated")
        return self
