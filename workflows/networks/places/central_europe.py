"""Cities of Germany, Austria, Switzerland, Czechia, Slovakia, Poland, Hungary and Slovenia."""

from workflows.networks.places.place import city

CITIES = (
    city(
        "Berlin", "DE", (52.5200, 13.4050), "Europe/Berlin",
        "10119, 10115, 10435",
        "Torstraße, Invalidenstraße, Brunnenstraße, Rosenthaler Straße, Schönhauser Allee, Kastanienallee, "
        "Linienstraße",
        site_area=(52.5300, 13.4030, 0.65),
    ),
    city(
        "Hamburg", "DE", (53.5503, 9.9922), "Europe/Berlin",
        "20354, 20355, 20359",
        "Kaiser-Wilhelm-Straße, Holstenwall, Budapester Straße, Feldstraße, Ludwig-Erhard-Straße, "
        "Valentinskamp, Karolinenstraße",
        site_area=(53.5560, 9.9720, 0.45),
    ),
    city(
        "München", "DE", (48.1374, 11.5755), "Europe/Berlin",
        "80331, 80333, 80335, 80336",
        "Sendlinger Straße, Sonnenstraße, Brienner Straße, Schwanthalerstraße, Arnulfstraße, Augustenstraße, "
        "Dachauer Straße",
        site_area=(48.1420, 11.5660, 0.8), aliases="Munich, Muenchen",
    ),
    city(
        "Köln", "DE", (50.9413, 6.9583), "Europe/Berlin",
        "50672, 50674, 50676",
        "Hohenzollernring, Aachener Straße, Venloer Straße, Ehrenstraße, Hansaring, Roonstraße, "
        "Magnusstraße",
        site_area=(50.9390, 6.9430, 0.7), aliases="Cologne, Koeln",
    ),
    city(
        "Frankfurt am Main", "DE", (50.1109, 8.6821), "Europe/Berlin",
        "60313, 60322, 60325",
        "Mainzer Landstraße, Berliner Straße, Eschersheimer Landstraße, Bockenheimer Landstraße, "
        "Taunusstraße, Oeder Weg, Kurt-Schumacher-Straße",
        site_area=(50.1180, 8.6760, 0.7), aliases="Frankfurt",
    ),
    city(
        "Stuttgart", "DE", (48.7758, 9.1829), "Europe/Berlin",
        "70173, 70174, 70178, 70182",
        "Theodor-Heuss-Straße, Hauptstätter Straße, Charlottenstraße, Friedrichstraße, Rotebühlstraße, "
        "Olgastraße, Tübinger Straße",
    ),
    city(
        "Leipzig", "DE", (51.3397, 12.3731), "Europe/Berlin",
        "04103, 04107, 04109",
        "Petersstraße, Karl-Liebknecht-Straße, Jahnallee, Prager Straße, Harkortstraße, Grimmaische Straße, "
        "Käthe-Kollwitz-Straße",
    ),
    city(
        "Wien", "AT", (48.2082, 16.3738), "Europe/Vienna",
        "1040, 1060, 1070",
        "Mariahilfer Straße, Wiedner Hauptstraße, Burggasse, Neubaugasse, Gumpendorfer Straße, "
        "Lerchenfelder Straße, Margaretenstraße",
        site_area=(48.2010, 16.3620, 0.7), aliases="Vienna",
    ),
    city(
        "Graz", "AT", (47.0707, 15.4395), "Europe/Vienna",
        "8010",
        "Glacisstraße, Elisabethstraße, Leonhardstraße, Münzgrabenstraße, Petersgasse, Wickenburggasse, "
        "Conrad-von-Hötzendorf-Straße",
        site_area=(47.0690, 15.4490, 0.6),
    ),
    city(
        "Salzburg", "AT", (47.8095, 13.0550), "Europe/Vienna",
        "5020",
        "Rainerstraße, Schallmooser Hauptstraße, Linzer Gasse, Sterneckstraße, Vogelweiderstraße, "
        "Auerspergstraße, Franz-Josef-Straße",
        site_area=(47.8120, 13.0570, 0.45),
    ),
    city(
        "Zürich", "CH", (47.3769, 8.5417), "Europe/Zurich",
        "8003, 8004",
        "Badenerstrasse, Langstrasse, Stauffacherstrasse, Birmensdorferstrasse, Hohlstrasse, Militärstrasse, "
        "Zweierstrasse",
        site_area=(47.3755, 8.5230, 0.5), aliases="Zurich, Zuerich",
    ),
    city(
        "Genève", "CH", (46.2044, 6.1432), "Europe/Zurich",
        "1204, 1205, 1206",
        "Rue de Carouge, Boulevard des Philosophes, Route de Florissant, Boulevard des Tranchées, "
        "Rue de Candolle, Rue du Conseil-Général",
        site_area=(46.1985, 6.1490, 0.4), aliases="Geneva, Genf",
    ),
    city(
        "Bern", "CH", (46.9480, 7.4474), "Europe/Zurich",
        "3007, 3008, 3012",
        "Laupenstrasse, Effingerstrasse, Länggassstrasse, Monbijoustrasse, Belpstrasse, Schwarztorstrasse, "
        "Bühlstrasse",
        site_area=(46.9480, 7.4300, 0.4), aliases="Berne",
    ),
    city(
        "Praha", "CZ", (50.0755, 14.4378), "Europe/Prague",
        "110 00, 120 00, 130 00",
        "Vinohradská, Ječná, Žitná, Sokolská, Seifertova, Londýnská, Korunní",
        aliases="Prague, Prag",
    ),
    city(
        "Brno", "CZ", (49.1951, 16.6068), "Europe/Prague",
        "602 00",
        "Lidická, Veveří, Cejl, Masarykova, Husova, Joštova, Údolní",
    ),
    city(
        "Bratislava", "SK", (48.1486, 17.1077), "Europe/Bratislava",
        "811 04, 811 05, 811 07",
        "Obchodná, Štefánikova, Račianska, Špitálska, Šancová, Mickiewiczova, Radlinského",
        site_area=(48.1520, 17.1140, 0.6),
    ),
    city(
        "Warszawa", "PL", (52.2297, 21.0122), "Europe/Warsaw",
        "00-105, 00-511, 00-697",
        "ul. Marszałkowska, Aleje Jerozolimskie, ul. Nowy Świat, ul. Świętokrzyska, ul. Emilii Plater, "
        "ul. Prosta, ul. Chmielna",
        aliases="Warsaw, Warschau",
    ),
    city(
        "Kraków", "PL", (50.0617, 19.9373), "Europe/Warsaw",
        "31-015, 31-133, 31-154",
        "ul. Karmelicka, ul. Długa, ul. Basztowa, ul. Pawia, ul. Lubicz, ul. Starowiślna",
        site_area=(50.0650, 19.9370, 0.7), aliases="Cracow, Krakau",
    ),
    city(
        "Wrocław", "PL", (51.1079, 17.0385), "Europe/Warsaw",
        "50-079, 50-020, 53-332",
        "ul. Świdnicka, ul. Józefa Piłsudskiego, ul. Kazimierza Wielkiego, ul. Legnicka, ul. Podwale, "
        "ul. Powstańców Śląskich, ul. Ruska",
        site_area=(51.1020, 17.0310, 0.7), aliases="Breslau",
    ),
    city(
        "Budapest", "HU", (47.4979, 19.0520), "Europe/Budapest",
        "1061, 1065, 1073, 1077",
        "Andrássy út, Király utca, Erzsébet körút, Dohány utca, Teréz körút, Rákóczi út, Wesselényi utca",
        site_area=(47.5030, 19.0670, 0.6),
    ),
    city(
        "Ljubljana", "SI", (46.0569, 14.5058), "Europe/Ljubljana",
        "1000",
        "Slovenska cesta, Dunajska cesta, Celovška cesta, Tivolska cesta, Masarykova cesta, "
        "Dalmatinova ulica, Tavčarjeva ulica",
        site_area=(46.0585, 14.5040, 0.5),
    ),
)  # fmt: skip
