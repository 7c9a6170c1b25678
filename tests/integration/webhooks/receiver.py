"""Real servers on the loopback interface: a webhook receiver, over TLS if wanted, and one that says raw bytes."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flotilla.broadcast import Answer


@dataclass(frozen=True)
class Received:
    """One request, as the server had it."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What a receiver has received and how it answers."""

    port: int
    answer: Callable[[Received], Answer] = lambda _received: Answer(204)
    location: str | None = None
    received: list[Received] = field(default_factory=list)


def _handler(receiver: Callable[[], Receiver]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.path, headers, body)
            receiver().received.append(received)
            answer = receiver().answer(received)
            self.send_response(answer.status)
            if answer.retry_after is not None:
                self.send_header("Retry-After", answer.retry_after)
            location = receiver().location
            if location is not None:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextmanager
def receiving(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0) -> Iterator[Receiver]:
    """A receiver."""
    made: list[Receiver] = []
    server = ThreadingHTTPServer((host, port), _handler(lambda: made[0]))
    server.daemon_threads = True
    made.append(Receiver(server.server_port))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that break off are the point
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def saying(*chunks: bytes, between_seconds: float = 0.0, then_close: bool = True) -> Iterator[int]:
    """The port of a server that answers whatever it is sent with `chunks`, one after the other."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65_536)
                for chunk in chunks:
                    connection.sendall(chunk)
                    if over.wait(between_seconds):
                        return
                if not then_close:
                    over.wait(30)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of a test's own."""

    client: ssl.SSLContext
    server: ssl.SSLContext


def authority_for(host: str, folder: Path) -> Authority:
    """An authority, and a server's certificate by it for `host` alone."""
    now = dt.datetime.fromtimestamp(0, dt.UTC)
    later = now + dt.timedelta(days=100 * 365)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])

    def certificate(
        name: x509.Name, public: ec.EllipticCurvePublicKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(root_name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(later)
        return builder.add_extension(extension, critical=False).sign(root_key, hashes.SHA256())

    root = certificate(root_name, root_key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
    named = x509.SubjectAlternativeName([x509.DNSName(host)])
    own = certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key.public_key(), named)
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + own.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cadata=root.public_bytes(serialization.Encoding.PEM).decode())
    return Authority(client, server)
