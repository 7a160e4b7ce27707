"""nginx with the configuration of docs/proxy.md, in front of two instances on one PostgreSQL.

A partner registers through the proxy, writes and reads; clients of one address hold as many connections as
the proxy allows; one instance is killed and started again. Writes docs/measurements/proxy.md; exit status 1
if anything was not as the page says.
"""

import argparse
import contextlib
import datetime as dt
import ipaddress
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

from examples import example  # noqa: E402  (the path first)
from nodes import Node, free_port, postgres, switch_to  # noqa: E402
from peers import PeerServer  # noqa: E402

REQUESTS = 200
PER_ADDRESS = 100
HEAD = """\
# Two instances behind nginx

Command: `scripts/proxy`. nginx runs the configuration of docs/proxy.md with TLS; only ports and paths differ.

| what | seen |
| --- | --- |
"""


def main() -> int:
    """Run it, write the results, and say whether they agree with docs/proxy.md."""
    parser = argparse.ArgumentParser(prog="scripts/proxy", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/measurements/proxy.md")
    out = parser.parse_args().out
    if shutil.which("nginx") is None:
        sys.exit("nginx is missing; install Debian's package: apt-get install nginx")
    with tempfile.TemporaryDirectory() as place, postgres() as database_url:
        seen = Trial(Path(place), database_url).run()
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr  # noqa: S607  (Debian's)
    rows = [f"| {what} | {result} |" for what, (result, _) in seen.items()]
    waitress = f"waitress {version('waitress')}"
    out.write_text(HEAD + "\n".join(rows) + f"\n\n{nginx.strip().partition(': ')[2]}, {waitress}.\n")
    print(out.read_text())
    wrong = [what for what, (_, is_right) in seen.items() if not is_right]
    print(*[f"not as docs/proxy.md says: {what}" for what in wrong], sep="\n")
    return 1 if wrong else 0


Seen = dict[str, tuple[str, bool]]
"""By attempt: the result, and whether it is right."""


class Trial:
    """Two instances, nginx, and one partner."""

    def __init__(self, place: Path, database_url: str) -> None:
        self.place = place
        self.port, ports = free_port(), (free_port(), free_port())
        self.url = f"https://127.0.0.1:{self.port}"
        self.certificate = place / "certificate.pem"
        write_certificate(self.certificate, place / "key.pem")
        self.environments = [
            {
                "OCPI_GATEWAY_DATABASE_URL": database_url,
                "OCPI_GATEWAY_DATA_DIR": str(place / f"data{port}"),
                "OCPI_GATEWAY_PORT": str(port),
                "OCPI_GATEWAY_PUBLIC_URL": self.url,
                "OCPI_GATEWAY_SECRET_KEY": "a secret key for both instances",
                "OCPI_GATEWAY_DEMO": "0",
            }
            for port in ports
        ]
        self.seen: Seen = {}
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(self.certificate)

    def run(self) -> Seen:
        """Try everything."""
        first, second = (Node(environment) for environment in self.environments)
        with first, second, self.nginx(), switch_to(self.environments[0]):
            network = first.network("EMSP", ("NL", "PRX"))
            token_a = network.token_a()
            with PeerServer() as peer:
                token = self.register(token_a, peer)
            self.spread(token)
            self.crowd(token)
            self.kill(first, token)
        return self.seen

    @contextlib.contextmanager
    def nginx(self) -> Iterator[None]:
        """Run nginx with the configuration of the page."""
        block = re.search(r"```nginx\n(.*?)```", (ROOT / "docs/proxy.md").read_text(), re.DOTALL)
        text = block[1] if block else ""
        changes = {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "127.0.0.1:8081": f"127.0.0.1:{self.environments[0]['OCPI_GATEWAY_PORT']}",
            "127.0.0.1:8082": f"127.0.0.1:{self.environments[1]['OCPI_GATEWAY_PORT']}",
            "/etc/ssl/certs/ocpi.pem": str(self.certificate),
            "/etc/ssl/private/ocpi.key": str(self.place / "key.pem"),
        }
        for old, new in changes.items():
            if old not in text:
                sys.exit(f"docs/proxy.md has no {old}; change this script with it")
            text = text.replace(old, new)
        # The log names the instance that served the request.
        log = f"log_format upstream '$upstream_addr $status'; access_log {self.place}/access.log upstream;"
        paths = "".join(
            f"{name}_temp_path {self.place}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = self.place / "nginx.conf"
        configuration.write_text(
            f"daemon off; pid {self.place}/nginx.pid; error_log {self.place}/error.log;\n"
            f"events {{ worker_connections 1024; }}\nhttp {{ {log} {paths}\n{text} }}\n"
        )
        process = subprocess.Popen(["nginx", "-c", str(configuration)], stderr=subprocess.DEVNULL)  # noqa: S607  (Debian's)
        try:
            deadline = time.monotonic() + 20
            while not self.answers():
                if time.monotonic() > deadline:
                    sys.exit((self.place / "error.log").read_text())
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(20)

    def answers(self) -> bool:
        """Whether an instance responds through the proxy."""
        with contextlib.suppress(requests.RequestException):
            return self.session.get(f"{self.url}/ready", timeout=5).ok
        return False

    def get(self, path: str, token: str) -> requests.Response:
        """GET through the proxy."""
        headers = {"Authorization": f"Token {token}"}
        return self.session.get(f"{self.url}{path}", headers=headers, timeout=30)

    def note(self, what: str, result: str, *, right: bool) -> None:
        """Record a result."""
        self.seen[what] = (result, right)

    def register(self, token_a: str, peer: PeerServer) -> str:
        """A partner registers through the advertised URLs and writes a location."""
        headers = {"Authorization": f"Token {token_a}"}
        details = self.get("/ocpi/emsp/versions", token_a).json()["data"][0]["url"]
        answer: Any = self.session.post(
            f"{details}/credentials", json=peer.credentials(), headers=headers, timeout=30
        ).json()
        token = str(answer["data"]["token"])
        self.note("a partner registers by the advertised URLs", details, right=details.startswith(self.url))
        location = example("Location", id="PROXY")
        put = self.session.put(
            f"{details}/locations/NL/TNM/PROXY",
            json=location,
            headers={"Authorization": f"Token {token}"},
            timeout=30,
        )
        self.note("it pushes a location", f"HTTP {put.status_code}", right=put.status_code == 201)  # noqa: PLR2004  (created)
        return token

    def spread(self, token: str) -> None:
        """Both instances respond, and both have the location."""
        statuses = Counter(
            self.get("/ocpi/emsp/2.1.1/locations/NL/TNM/PROXY", token).status_code for _ in range(REQUESTS)
        )
        time.sleep(0.5)  # nginx has written its log
        lines = (self.place / "access.log").read_text().splitlines()[-REQUESTS:]
        instances = Counter(line.split(" ")[0].rpartition(":")[2] for line in lines)
        shares = " and ".join(str(count) for _, count in sorted(instances.items()))
        self.note(
            f"{REQUESTS} reads of it",
            f"{statuses[200]} answered, {shares} by the two instances",
            right=statuses[200] == REQUESTS and len(instances) == 2,  # noqa: PLR2004  (both)
        )

    def crowd(self, token: str) -> None:
        """One address holds as many silent requests as allowed; another address is served."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        held = []
        for _ in range(PER_ADDRESS + 30):
            raw = socket.create_connection(
                ("127.0.0.1", self.port), timeout=10, source_address=("127.0.0.2", 0)
            )
            connection = context.wrap_socket(raw, server_hostname="127.0.0.1")
            connection.sendall(b"POST /ocpi/emsp/2.1.1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
            held.append(connection)
        began = time.monotonic()
        status = self.get("/ocpi/emsp/versions", token).status_code
        took = time.monotonic() - began
        for connection in held:
            connection.close()
        self.note(
            f"{PER_ADDRESS + 30} half requests of one address, then a request of another",
            f"HTTP {status} after {took:.2f} s",
            right=status == 200 and took < 5,  # noqa: PLR2004  (the bound of docs/measurements/slow.md)
        )

    def kill(self, first: Node, token: str) -> None:
        """One instance dies and restarts; reads continue."""
        first.kill()
        statuses = Counter(self.get("/ocpi/emsp/versions", token).status_code for _ in range(REQUESTS))
        self.note(
            f"{REQUESTS} reads while one instance is dead",
            f"{statuses[200]} answered",
            right=statuses[200] == REQUESTS,
        )
        first.start()
        ready = self.answers()
        self.note("the instance is started again", "ready" if ready else "not ready", right=ready)


def write_certificate(certificate: Path, key: Path) -> None:
    """A self-signed certificate for 127.0.0.1."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


if __name__ == "__main__":
    sys.exit(main())
