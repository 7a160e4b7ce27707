"""Motorway service areas and truck stops, with the coordinates of their charging bays."""

from workflows.networks.places.place import ServiceArea

_BERLIN, _LONDON, _MADRID, _PARIS, _ROME, _ZURICH = (
    f"Europe/{city}" for city in ("Berlin", "London", "Madrid", "Paris", "Rome", "Zurich")
)

SERVICE_AREAS = (
    ServiceArea("Rasthof Geiselwind", "A3", "DE", 49.7696, 10.4702, _BERLIN, "Geiselwind", "96160"),
    ServiceArea("Rasthof Irschenberg", "A8", "DE", 47.8264, 11.8984, _BERLIN, "Irschenberg", "83737"),
    ServiceArea("Autohof Hermsdorfer Kreuz", "A9", "DE", 50.8899, 11.8714, _BERLIN, "Hermsdorf", "07629"),
    ServiceArea("Autohof Lutterberg", "A7", "DE", 51.3710, 9.6333, _BERLIN, "Staufenberg", "34355"),
    ServiceArea("Autohof Bispingen", "A7", "DE", 53.1044, 9.9816, _BERLIN, "Bispingen", "29646"),
    ServiceArea("Aire de Châteauvillain-Orges", "A5", "FR", 48.0577, 4.9606, _PARIS, "Orges", "52120"),
    ServiceArea("Aire du Jura", "A39", "FR", 46.7746, 5.5222, _PARIS, "Arlay", "39140"),
    ServiceArea("Aire de la Baie de Somme", "A16", "FR", 50.1673, 1.7555, _PARIS, "Abbeville", "80100"),
    ServiceArea("Aire du Caylar", "A75", "FR", 43.8646, 3.3133, _PARIS, "Le Caylar", "34520"),
    ServiceArea("Aire de Manissieux", "A43", "FR", 45.6985, 4.9775, _PARIS, "Saint-Priest", "69800"),
    ServiceArea("Aire de Vidauban Sud", "A8", "FR", 43.4138, 6.4512, _PARIS, "Vidauban", "83550"),
    ServiceArea("Tebay Services", "M6", "GB", 54.4536, -2.6060, _LONDON, "Tebay", "CA10 3SB"),
    ServiceArea("Reading Services", "M4", "GB", 51.4234, -1.0390, _LONDON, "Reading", "RG30 3UQ"),
    ServiceArea("Raststätte Kemptthal", "A1", "CH", 47.4518, 8.7045, _ZURICH, "Kemptthal", "8310"),
    ServiceArea("Raststätte Heidiland", "A13", "CH", 47.0040, 9.5258, _ZURICH, "Maienfeld", "7304"),
    ServiceArea("Raststätte Pratteln", "A2", "CH", 47.5249, 7.6803, _ZURICH, "Pratteln", "4133"),
    ServiceArea("Restoroute Rose de la Broye", "A1", "CH", 46.8322, 6.8593, _ZURICH, "Lully", "1470"),
    ServiceArea("Area di servizio Monte Ceneri", "A2", "CH", 46.1392, 8.9073, _ZURICH, "Rivera", "6802"),
    ServiceArea("Area di servizio Adda Nord", "A35", "IT", 45.5115, 9.6348, _ROME, "Caravaggio", "24043"),
    ServiceArea("Area di servizio Dorno Est", "A7", "IT", 45.1472, 8.9911, _ROME, "Dorno", "27020"),
    ServiceArea("Área Tudanca", "A-1", "ES", 41.6232, -3.6877, _MADRID, "Aranda de Duero", "09400"),
    ServiceArea("Área de Almaraz", "A-5", "ES", 39.7917, -5.6954, _MADRID, "Almaraz", "10350"),
    ServiceArea("Aire de Berchem", "A3", "LU", 49.5439, 6.1201, "Europe/Luxembourg", "Berchem", "L-3325"),
    ServiceArea("Haarrijn", "A2", "NL", 52.1480, 5.0110, "Europe/Amsterdam", "Breukelen", "3621 AA"),
    ServiceArea("Rasta Ödeshög", "E4", "SE", 58.2271, 14.6683, "Europe/Stockholm", "Ödeshög", "599 31"),
)  # fmt: skip
