"""Cities of Spain, Portugal, Italy, Croatia, Greece and Romania."""

from workflows.networks.places.place import city

CITIES = (
    city(
        "Madrid", "ES", (40.4168, -3.7038), "Europe/Madrid",
        "28004, 28012, 28013, 28014",
        "Gran Vía, Calle de Alcalá, Calle de Atocha, Calle de Fuencarral, Calle Mayor, Calle de Hortaleza, "
        "Paseo del Prado",
    ),
    city(
        "Barcelona", "ES", (41.3870, 2.1701), "Europe/Madrid",
        "08007, 08008, 08009, 08010",
        "Carrer d'Aragó, Passeig de Gràcia, Carrer de Balmes, Gran Via de les Corts Catalanes, "
        "Carrer de València, Rambla de Catalunya, Carrer de Muntaner",
        site_area=(41.3915, 2.1640, 0.8),
    ),
    city(
        "Valencia", "ES", (39.4699, -0.3763), "Europe/Madrid",
        "46001, 46002, 46004, 46005",
        "Calle de Colón, Calle de la Paz, Calle de San Vicente Mártir, Gran Vía Marqués del Turia, "
        "Calle de Xàtiva, Calle de Cirilo Amorós",
        site_area=(39.4680, -0.3740, 0.6), aliases="València",
    ),
    city(
        "Sevilla", "ES", (37.3891, -5.9845), "Europe/Madrid",
        "41003, 41004, 41018",
        "Calle Recaredo, Calle San Fernando, Calle Luis Montoto, Avenida de Menéndez Pelayo, Calle Feria, "
        "Avenida de Eduardo Dato",
        site_area=(37.3890, -5.9800, 0.8), aliases="Seville",
    ),
    city(
        "Lisboa", "PT", (38.7223, -9.1393), "Europe/Lisbon",
        "1150-###, 1250-###, 1169-###",
        "Avenida da Liberdade, Avenida Almirante Reis, Rua Alexandre Herculano, Rua da Palma, "
        "Avenida Duque de Loulé, Rua Braamcamp, Rua Castilho",
        aliases="Lisbon, Lissabon",
    ),
    city(
        "Porto", "PT", (41.1496, -8.6109), "Europe/Lisbon",
        "4000-###, 4050-###",
        "Rua de Santa Catarina, Avenida dos Aliados, Rua da Boavista, Rua de Camões, Rua do Bonjardim, "
        "Rua de Cedofeita, Rua da Constituição",
        site_area=(41.1545, -8.6110, 0.7), aliases="Oporto",
    ),
    city(
        "Milano", "IT", (45.4642, 9.1900), "Europe/Rome",
        "20121, 20122, 20123, 20124",
        "Corso Buenos Aires, Via Torino, Corso di Porta Romana, Via Manzoni, Corso Magenta, Via Larga, "
        "Viale Tunisia",
        aliases="Milan, Mailand",
    ),
    city(
        "Roma", "IT", (41.9028, 12.4964), "Europe/Rome",
        "00184, 00185, 00187",
        "Via Nazionale, Via Cavour, Via del Tritone, Via Vittorio Veneto, Via XX Settembre, Via Barberini, "
        "Via Merulana",
        aliases="Rome, Rom",
    ),
    city(
        "Torino", "IT", (45.0703, 7.6869), "Europe/Rome",
        "10121, 10122, 10128",
        "Via Roma, Corso Vittorio Emanuele II, Corso Re Umberto, Via Garibaldi, Corso Francia, Via Cernaia, "
        "Via Pietro Micca",
        site_area=(45.0690, 7.6770, 0.7), aliases="Turin",
    ),
    city(
        "Bologna", "IT", (44.4949, 11.3426), "Europe/Rome",
        "40121, 40123, 40125, 40126",
        "Via dell'Indipendenza, Via Irnerio, Via San Felice, Strada Maggiore, Via Guglielmo Marconi, "
        "Via Saragozza, Via San Vitale",
    ),
    city(
        "Zagreb", "HR", (45.8150, 15.9819), "Europe/Zagreb",
        "10000",
        "Ilica, Savska cesta, Vlaška ulica, Branimirova ulica, Draškovićeva ulica, Frankopanska ulica, "
        "Petrinjska ulica",
    ),
    city(
        "Athina", "GR", (37.9838, 23.7275), "Europe/Athens",
        "104 31, 105 52, 106 78",
        "Stadiou, Panepistimiou, Akadimias, Solonos, Patission, Athinas, Acharnon",
        aliases="Athens, Athen",
    ),
    city(
        "București", "RO", (44.4325, 26.1039), "Europe/Bucharest",
        "010065, 010071, 030167",
        "Calea Victoriei, Bulevardul Magheru, Bulevardul Unirii, Calea Moșilor, Bulevardul Carol I, "
        "Calea Dorobanți, Calea Griviței",
        site_area=(44.4380, 26.1060, 0.6), aliases="Bucharest, Bukarest",
    ),
)  # fmt: skip
