"""What is around a charge point: opening hours, facilities, parking restrictions, directions."""

import random
from dataclasses import dataclass

from generated.ocpi_models import DisplayText, Hours, KnownFacility, RegularHours

ON_STREET, PARKING_LOT = "ON_STREET", "PARKING_LOT"
PARKING_GARAGE, UNDERGROUND_GARAGE = "PARKING_GARAGE", "UNDERGROUND_GARAGE"
ALONG_MOTORWAY, ON_DRIVEWAY = "ALONG_MOTORWAY", "ON_DRIVEWAY"
DEPOT = "DEPOT"
"""Not one of the gateway's parking types: a depot is a PARKING_LOT with opening hours."""

_WEEKDAYS, _EVERY_DAY = range(1, 7), range(1, 8)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What one kind of site has. `hours`: weekdays, begin and end in local time; None means always open."""

    facilities: tuple[str, ...]
    restrictions: tuple[str, ...]
    hours: tuple[range, str, str] | None = None
    floors: tuple[str, ...] = ()
    directions: str | None = None


KINDS = {
    ON_STREET: Surroundings(
        ("BUS_STOP", "CAFE", "RESTAURANT", "SUPERMARKET", "TAXI_STAND"),
        ("EV_ONLY", "PLUGGED"),
        directions="kerb",
    ),
    PARKING_LOT: Surroundings(
        ("SUPERMARKET", "MALL", "SPORT", "TRAIN_STATION", "BUS_STOP"), ("EV_ONLY",), directions="entrance"
    ),
    PARKING_GARAGE: Surroundings(
        ("MALL", "RESTAURANT", "MUSEUM", "TRAIN_STATION", "WIFI"),
        ("EV_ONLY", "CUSTOMERS"),
        (_EVERY_DAY, "06:00", "23:30"),
        ("0", "1", "2"),
        "garage",
    ),
    UNDERGROUND_GARAGE: Surroundings(
        ("MALL", "HOTEL", "RESTAURANT", "TRAIN_STATION", "WIFI"),
        ("EV_ONLY", "CUSTOMERS"),
        (_EVERY_DAY, "06:00", "23:30"),
        ("-1", "-2", "-3"),
        "garage",
    ),
    ALONG_MOTORWAY: Surroundings(
        ("FUEL_STATION", "RESTAURANT", "CAFE", "WIFI"), ("EV_ONLY",), directions="motorway"
    ),
    ON_DRIVEWAY: Surroundings((), ()),
    DEPOT: Surroundings(
        (), ("EV_ONLY", "CUSTOMERS"), (_WEEKDAYS, "05:00", "22:00"), directions="entrance"
    ),
}  # fmt: skip

# Directions, by ISO 639-1 code.
_SIGNS = {
    "kerb": {
        "en": "Charging bays at the kerb, marked in green.",
        "nl": "Laadplekken langs de stoep, groen gemarkeerd.",
        "de": "Ladeplätze am Straßenrand, grün markiert.",
        "fr": "Places de recharge le long du trottoir, marquées en vert.",
        "es": "Plazas de recarga junto a la acera, marcadas en verde.",
        "it": "Posti di ricarica lungo il marciapiede, segnati in verde.",
        "pt": "Lugares de carregamento junto ao passeio, marcados a verde.",
        "da": "Ladepladser langs kantstenen, markeret med grønt.",
        "sv": "Laddplatser längs trottoaren, markerade med grönt.",
        "no": "Ladeplasser langs fortauet, merket med grønt.",
        "pl": "Miejsca ładowania przy krawężniku, oznaczone na zielono.",
    },
    "entrance": {
        "en": "The charging bays are to the right of the entrance.",
        "nl": "De laadplekken zijn rechts van de ingang.",
        "de": "Die Ladeplätze sind rechts von der Einfahrt.",
        "fr": "Les places de recharge sont à droite de l'entrée.",
        "es": "Las plazas de recarga están a la derecha de la entrada.",
        "it": "I posti di ricarica sono a destra dell'ingresso.",
        "pt": "Os lugares de carregamento ficam à direita da entrada.",
        "da": "Ladepladserne er til højre for indkørslen.",
        "sv": "Laddplatserna finns till höger om infarten.",
        "no": "Ladeplassene er til høyre for innkjørselen.",
        "pl": "Miejsca ładowania są na prawo od wjazdu.",
    },
    "garage": {
        "en": "Follow the signs for electric cars inside the car park.",
        "nl": "Volg in de parkeergarage de borden voor elektrische auto's.",
        "de": "Im Parkhaus den Schildern für Elektroautos folgen.",
        "fr": "Dans le parking, suivez les panneaux pour voitures électriques.",
        "es": "Dentro del aparcamiento, siga las señales para coches eléctricos.",
        "it": "Nel parcheggio seguire le indicazioni per le auto elettriche.",
        "pt": "No parque, siga as indicações para carros elétricos.",
        "da": "Følg skiltene for elbiler i parkeringshuset.",
        "sv": "Följ skyltarna för elbilar i parkeringshuset.",
        "no": "Følg skiltene for elbiler i parkeringshuset.",
        "pl": "Na parkingu kieruj się znakami dla samochodów elektrycznych.",
    },
    "motorway": {
        "en": "Behind the fuel station, before the car park.",
        "nl": "Achter het tankstation, voor de parkeerplaats.",
        "de": "Hinter der Tankstelle, vor dem Parkplatz.",
        "fr": "Derrière la station-service, avant le parking.",
        "es": "Detrás de la gasolinera, antes del aparcamiento.",
        "it": "Dietro la stazione di servizio, prima del parcheggio.",
        "pt": "Atrás da estação de serviço, antes do parque.",
        "da": "Bag tankstationen, før parkeringspladsen.",
        "sv": "Bakom bensinstationen, före parkeringen.",
        "no": "Bak bensinstasjonen, før parkeringsplassen.",
        "pl": "Za stacją paliw, przed parkingiem.",
    },
}
_ENTRANCE = {
    "en": "Entrance", "nl": "Ingang", "de": "Einfahrt", "fr": "Entrée", "es": "Entrada", "it": "Ingresso",
    "pt": "Entrada", "da": "Indkørsel", "sv": "Infart", "no": "Innkjørsel", "pl": "Wjazd",
}  # fmt: skip


def opening_times(kind: Surroundings) -> Hours:
    """When a site of *kind* is open."""
    if kind.hours is None:
        return Hours(twentyfourseven=True)
    days, begin, end = kind.hours
    hours = [RegularHours(weekday=day, period_begin=begin, period_end=end) for day in days]
    return Hours(regular_hours=hours, twentyfourseven=False)


def facilities(kind: Surroundings, rng: random.Random) -> list[KnownFacility]:
    """Two or three of the facilities of *kind*, in a fixed order."""
    chosen = rng.sample(kind.facilities, min(len(kind.facilities), rng.choice((2, 3))))
    return [KnownFacility(facility) for facility in kind.facilities if facility in chosen]


def directions(kind: Surroundings, language: str) -> list[DisplayText]:
    """Directions in English, and in *language* if there is a translation."""
    signs = _SIGNS.get(kind.directions or "", {})
    return [DisplayText(language=code, text=signs[code]) for code in _available(signs, language)]


def entrance(language: str) -> DisplayText:
    """The name of an entrance, in *language* if there is a translation, else in English."""
    code = language if language in _ENTRANCE else "en"
    return DisplayText(language=code, text=_ENTRANCE[code])


def _available(texts: dict[str, str], language: str) -> list[str]:
    return [code for code in dict.fromkeys(("en", language)) if code in texts]
