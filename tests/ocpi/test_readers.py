"""Sessions and CDRs belong to the first peer that pushed the driver's `auth_id`. Security S6."""

from examples import example
from nodes import Node, in_transaction
from surface import PARTY, PEER
from victim import Victim

from storage import connections


def test_a_peer_cannot_read_sessions_by_claiming_another_peers_driver(node: Node) -> None:
    """Security S1: a second peer pushes the same token and still sees no session or CDR of it."""
    victim = Victim(node, "cpo")
    thief = victim.network.peer(("NL", "XIN"))
    stolen = victim.body("Token")

    assert thief.put(thief.at("tokens", stolen["uid"]), stolen).ok
    changed = {"kwh": 30, "last_updated": "2027-01-01T00:00:00Z"}
    session = victim.operator.at("sessions", victim.ids["session_id"], party=PARTY)
    assert victim.operator.patch(session, changed).ok

    for module in ("sessions", "cdrs"):
        assert [] == thief.data(module)
        assert 1 == len(victim.peer.data(module))


def test_a_driver_belongs_to_the_first_peer_that_names_the_auth_id(node: Node) -> None:
    """Security S1: a PATCH gives an older token the `auth_id` of another peer's driver."""
    network = node.network("CPO", PARTY)
    thief, owner = network.peer(("NL", "XIN")), network.peer(PEER)
    old = thief.at("tokens", "OLD")
    assert thief.put(old, example("Token", uid="OLD", auth_id="NL-XIN-OWN")).ok
    token = example("Token", auth_id="NL-TNM-VICTIM")
    assert owner.put(owner.at("tokens", token["uid"]), token).ok

    assert thief.patch(old, {"auth_id": "NL-TNM-VICTIM"}).ok
    operator = network.operator()
    for module, schema in (("sessions", "Session"), ("cdrs", "CDR")):
        body = example(schema, auth_id="NL-TNM-VICTIM")
        send = operator.post if module == "cdrs" else operator.put
        path = module if module == "cdrs" else operator.at(module, body["id"], party=PARTY)
        assert 201 == send(path, body).status_code

        assert [] == thief.data(module)
        assert [body["id"]] == [each["id"] for each in owner.data(module)]


def test_a_cdr_that_names_another_party_stays_with_its_sender(node: Node) -> None:
    """Security S6."""
    network = node.network("EMSP", PARTY)
    one, other = network.peer(PEER), network.peer(("BE", "OTH"))
    in_transaction(connections.assign, network.network, other.connection_id, [("BE", "ALS")])
    foreign = example("CDR", country_code="BE", party_id="OTH", owner="BE/OTH", id="FOREIGN")
    foreign["location"]["operator"] = {"name": "BE/OTH"}

    assert 201 == one.post("cdrs", foreign).status_code
    assert [] == other.data("cdrs")
    assert ["FOREIGN"] == [cdr["id"] for cdr in one.data("cdrs")]
    assert 404 == other.get(other.at("cdrs", "FOREIGN")).status_code
    assert 404 == other.get(other.at("cdrs", "FOREIGN", party=PEER)).status_code
