"""Cities of Denmark, Sweden, Norway, Finland, Estonia, Latvia and Lithuania."""

from workflows.networks.places.place import city

CITIES = (
    city(
        "København", "DK", (55.6761, 12.5683), "Europe/Copenhagen",
        "1620, 1650, 1700",
        "Vesterbrogade, Istedgade, Sønder Boulevard, Enghavevej, Gammel Kongevej, Halmtorvet, Dannebrogsgade",
        site_area=(55.6690, 12.5480, 0.4), aliases="Copenhagen, Kopenhagen",
    ),
    city(
        "Aarhus", "DK", (56.1567, 10.2108), "Europe/Copenhagen",
        "8000",
        "Søndergade, Park Allé, Frederiks Allé, Vester Allé, Silkeborgvej, Nørre Allé, Banegårdsgade",
        site_area=(56.1560, 10.1960, 0.5), aliases="Århus",
    ),
    city(
        "Odense", "DK", (55.3959, 10.3883), "Europe/Copenhagen",
        "5000",
        "Vestergade, Kongensgade, Hjallesevej, Albanigade, Skibhusvej, Vesterbro, Nørregade",
    ),
    city(
        "Stockholm", "SE", (59.3326, 18.0649), "Europe/Stockholm",
        "113 24, 113 56, 113 60",
        "Odengatan, Sveavägen, Drottninggatan, Upplandsgatan, Birger Jarlsgatan, Tegnérgatan, Norrtullsgatan",
        site_area=(59.3410, 18.0560, 0.4),
    ),
    city(
        "Göteborg", "SE", (57.7072, 11.9668), "Europe/Stockholm",
        "411 36, 411 38, 411 24",
        "Kungsportsavenyn, Vasagatan, Engelbrektsgatan, Linnégatan, Aschebergsgatan, Södra Vägen, "
        "Viktoriagatan",
        site_area=(57.6970, 11.9720, 0.4), aliases="Gothenburg, Goeteborg",
    ),
    city(
        "Malmö", "SE", (55.6050, 13.0038), "Europe/Stockholm",
        "211 40, 211 48, 214 22",
        "Södra Förstadsgatan, Bergsgatan, Regementsgatan, Föreningsgatan, Amiralsgatan, Nobelvägen, "
        "Fersens väg",
        site_area=(55.5950, 13.0080, 0.5), aliases="Malmoe",
    ),
    city(
        "Oslo", "NO", (59.9139, 10.7522), "Europe/Oslo",
        "0164, 0165, 0171, 0183",
        "Ullevålsveien, Storgata, Pilestredet, Akersgata, Wergelandsveien, Thereses gate, Hegdehaugsveien",
        site_area=(59.9205, 10.7410, 0.65),
    ),
    city(
        "Bergen", "NO", (60.3913, 5.3221), "Europe/Oslo",
        "5007, 5014, 5015",
        "Nygårdsgaten, Torgallmenningen, Christies gate, Strømgaten, Håkonsgaten, Olaf Kyrres gate",
        site_area=(60.3878, 5.3225, 0.2),
    ),
    city(
        "Helsinki", "FI", (60.1699, 24.9384), "Europe/Helsinki",
        "00100, 00120, 00180",
        "Mannerheimintie, Fredrikinkatu, Bulevardi, Lönnrotinkatu, Uudenmaankatu, Runeberginkatu, Annankatu",
        site_area=(60.1672, 24.9360, 0.35), aliases="Helsingfors",
    ),
    city(
        "Tampere", "FI", (61.4981, 23.7610), "Europe/Helsinki",
        "33100, 33500",
        "Hämeenkatu, Satakunnankatu, Itsenäisyydenkatu, Sammonkatu, Tuomiokirkonkatu, Rautatienkatu",
        site_area=(61.4980, 23.7790, 0.35), aliases="Tammerfors",
    ),
    city(
        "Turku", "FI", (60.4518, 22.2666), "Europe/Helsinki",
        "20100",
        "Aurakatu, Yliopistonkatu, Humalistonkatu, Puutarhakatu, Maariankatu, Käsityöläiskatu",
        site_area=(60.4550, 22.2630, 0.4), aliases="Åbo",
    ),
    city(
        "Tallinn", "EE", (59.4370, 24.7536), "Europe/Tallinn",
        "10118, 10119, 10141, 10145",
        "Pärnu maantee, Narva maantee, Tartu maantee, Liivalaia, Gonsiori, Endla, Toompuiestee",
        site_area=(59.4310, 24.7480, 0.6),
    ),
    city(
        "Rīga", "LV", (56.9496, 24.1052), "Europe/Riga",
        "LV-1010, LV-1011",
        "Brīvības iela, Krišjāņa Barona iela, Aleksandra Čaka iela, Ģertrūdes iela, Tērbatas iela, "
        "Elizabetes iela, Lāčplēša iela",
        site_area=(56.9560, 24.1210, 0.6),
    ),
    city(
        "Vilnius", "LT", (54.6872, 25.2797), "Europe/Vilnius",
        "LT-01103, LT-01108, LT-03116",
        "Gedimino prospektas, Vilniaus gatvė, Naugarduko gatvė, Pylimo gatvė, J. Basanavičiaus gatvė, "
        "Trakų gatvė, Algirdo gatvė",
        site_area=(54.6800, 25.2750, 0.5),
    ),
)  # fmt: skip
