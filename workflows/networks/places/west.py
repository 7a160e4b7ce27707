"""Cities of the Netherlands, Belgium, Luxembourg, France, Great Britain and Ireland."""

from workflows.networks.places.place import city

CITIES = (
    city(
        "Amsterdam", "NL", (52.3731, 4.8922), "Europe/Amsterdam",
        "1072 ??, 1073 ??, 1017 ??",
        "Ceintuurbaan, Ferdinand Bolstraat, Van Woustraat, Vijzelstraat, Utrechtsestraat, Stadhouderskade",
        site_area=(52.3590, 4.8920, 0.35),
    ),
    city(
        "Rotterdam", "NL", (51.9225, 4.4792), "Europe/Amsterdam",
        "3011 ??, 3012 ??, 3013 ??",
        "Coolsingel, Westblaak, Weena, Mauritsweg, Goudsesingel, Schiekade, Hoogstraat",
        site_area=(51.9255, 4.4740, 0.7),
    ),
    city(
        "Utrecht", "NL", (52.0907, 5.1214), "Europe/Amsterdam",
        "3511 ??, 3512 ??, 3572 ??",
        "Catharijnesingel, Biltstraat, Croeselaan, Maliebaan, Nachtegaalstraat, Voorstraat",
        site_area=(52.0930, 5.1300, 0.6),
    ),
    city(
        "Eindhoven", "NL", (51.4393, 5.4786), "Europe/Amsterdam",
        "5611 ??, 5612 ??, 5613 ??",
        "Boschdijk, Vestdijk, Kruisstraat, Stratumsedijk, Emmasingel, Fellenoord, Leenderweg",
    ),
    city(
        "Groningen", "NL", (53.2194, 6.5665), "Europe/Amsterdam",
        "9711 ??, 9712 ??, 9724 ??",
        "Oude Ebbingestraat, Damsterdiep, Hereweg, Paterswoldseweg, Nieuwe Boteringestraat, Parklaan",
        site_area=(53.2100, 6.5690, 0.5),
    ),
    city(
        "Bruxelles", "BE", (50.8467, 4.3525), "Europe/Brussels",
        "1000, 1050, 1060",
        "Boulevard Anspach, Rue de la Loi, Avenue Louise, Rue Royale, Rue Haute, Boulevard du Midi, "
        "Chaussée d'Ixelles",
        site_area=(50.8430, 4.3600, 0.9), aliases="Brussels, Brussel",
    ),
    city(
        "Antwerpen", "BE", (51.2194, 4.4025), "Europe/Brussels",
        "2000, 2018, 2060",
        "Meir, Frankrijklei, Italiëlei, Nationalestraat, Lange Leemstraat, Mechelsesteenweg, Britselei",
        site_area=(51.2140, 4.4150, 0.7), aliases="Antwerp, Anvers",
    ),
    city(
        "Gent", "BE", (51.0543, 3.7218), "Europe/Brussels",
        "9000",
        "Veldstraat, Kouter, Coupure Links, Sint-Pietersnieuwstraat, Kortrijksesteenweg, Brabantdam, "
        "Vlaanderenstraat",
        site_area=(51.0430, 3.7230, 0.4), aliases="Ghent, Gand",
    ),
    city(
        "Luxembourg", "LU", (49.6116, 6.1300), "Europe/Luxembourg",
        "L-1611, L-1930, L-1470",
        "Avenue de la Gare, Avenue de la Liberté, Route d'Esch, Rue de Strasbourg, Rue de Hollerich, "
        "Rue du Fort Neipperg",
        site_area=(49.6020, 6.1300, 0.5), aliases="Luxemburg",
    ),
    city(
        "Paris", "FR", (48.8566, 2.3522), "Europe/Paris",
        "75002, 75003, 75009, 75010",
        "Boulevard de Sébastopol, Rue du Temple, Rue de Turenne, Rue Réaumur, Rue La Fayette, "
        "Rue du Faubourg Saint-Denis, Boulevard de Magenta",
        site_area=(48.8660, 2.3540, 0.65),
    ),
    city(
        "Lyon", "FR", (45.7640, 4.8357), "Europe/Paris",
        "69003, 69006",
        "Cours Lafayette, Rue de Bonnel, Rue Garibaldi, Rue Paul Bert, Cours Gambetta, Avenue de Saxe, "
        "Rue de Créqui",
        site_area=(45.7600, 4.8510, 0.6), aliases="Lyons",
    ),
    city(
        "Marseille", "FR", (43.2965, 5.3698), "Europe/Paris",
        "13001, 13004, 13005",
        "La Canebière, Rue de Rome, Boulevard Longchamp, Boulevard de la Libération, Rue Saint-Pierre, "
        "Boulevard Chave",
        site_area=(43.2960, 5.3850, 0.65), aliases="Marseilles",
    ),
    city(
        "Lille", "FR", (50.6329, 3.0586), "Europe/Paris",
        "59000, 59800",
        "Rue Nationale, Boulevard de la Liberté, Rue Solférino, Rue Faidherbe, Rue de Paris, Rue Gambetta, "
        "Boulevard Vauban",
    ),
    city(
        "Bordeaux", "FR", (44.8378, -0.5792), "Europe/Paris",
        "33000",
        "Cours de l'Intendance, Cours Victor Hugo, Cours d'Albret, Rue Judaïque, Cours Pasteur, "
        "Rue Fondaudège, Cours de Verdun",
        site_area=(44.8390, -0.5870, 0.7),
    ),
    city(
        "Strasbourg", "FR", (48.5734, 7.7521), "Europe/Paris",
        "67000",
        "Rue du Faubourg de Saverne, Boulevard du Président Wilson, Rue du Faubourg de Pierre, "
        "Rue du Faubourg National, Boulevard de Metz, Rue de Wasselonne",
        site_area=(48.5835, 7.7380, 0.4), aliases="Straßburg",
    ),
    city(
        "London", "GB", (51.5074, -0.1278), "Europe/London",
        "W1D #??, WC1A #??, W1T #??, WC2H #??",
        "Charing Cross Road, Great Russell Street, Shaftesbury Avenue, Tottenham Court Road, Wardour Street, "
        "Oxford Street, Gower Street",
        site_area=(51.5160, -0.1330, 0.6),
    ),
    city(
        "Manchester", "GB", (53.4808, -2.2426), "Europe/London",
        "M1 #??, M2 #??, M4 #??",
        "Deansgate, Portland Street, Oxford Road, Princess Street, Great Ancoats Street, Whitworth Street, "
        "Mosley Street",
        site_area=(53.4790, -2.2330, 0.7),
    ),
    city(
        "Edinburgh", "GB", (55.9533, -3.1883), "Europe/London",
        "EH1 #??, EH3 #??, EH8 #??",
        "Lothian Road, Nicolson Street, Lauriston Place, Morningside Road, Forrest Road, Potterrow, "
        "Melville Drive",
        site_area=(55.9450, -3.1950, 0.7),
    ),
    city(
        "Bristol", "GB", (51.4545, -2.5879), "Europe/London",
        "BS1 #??, BS2 #??, BS6 #??",
        "Park Street, Whiteladies Road, Stokes Croft, Cheltenham Road, Park Row, Jamaica Street",
        site_area=(51.4610, -2.5930, 0.6),
    ),
    city(
        "Dublin", "IE", (53.3498, -6.2603), "Europe/Dublin",
        "D02 ?###, D08 ?###",
        "Dawson Street, Baggot Street Lower, Harcourt Street, Camden Street Lower, Leeson Street Lower, "
        "Aungier Street, Kevin Street Upper",
        site_area=(53.3390, -6.2590, 0.5),
    ),
)  # fmt: skip
