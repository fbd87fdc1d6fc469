"""HTTP as attackers write it: requests byte for byte, and what came back over the connection."""

import re
import socket
from collections.abc import Mapping
from contextlib import closing
from typing import Final

STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
CRLF: Final = b"\r\n"
ANSWER_S: Final = 30.0
QUIET_S: Final = 1.0
"""Behind the answers that are waited for; others that nobody asked for would come at once."""


def connect(port: int) -> socket.socket:
    """Return a new connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request of these lines as they stand."""
    return CRLF.join([line.encode("latin-1"), *(one.encode("latin-1") for one in headers), b"", body])


def said(port: int, raw: bytes, least: int = 1) -> list[int]:
    """Send bytes over a connection of their own; return the statuses that came back, but for 100."""
    return statuses(spoken(port, raw, least))


def spoken(port: int, raw: bytes, least: int = 1) -> bytes:
    """Send bytes over a connection of their own; return what came back, `least` answers if there are as many."""
    with closing(connect(port)) as sock:
        sock.sendall(raw)
        return heard(sock, least)


def statuses(received: bytes) -> list[int]:
    """Return the final statuses in what came back over a connection."""
    return [status for status in map(int, STATUS.findall(received)) if status != 100]


def heard(sock: socket.socket, least: int) -> bytes:
    """Return what comes over a connection until it is closed, or nothing comes any more behind the answers."""
    received = b""
    while True:
        sock.settimeout(QUIET_S if len(statuses(received)) >= least else ANSWER_S)
        try:
            data = sock.recv(65_536)
        except (TimeoutError, ConnectionResetError):
            return received
        if not data:
            return received
        received += data


def framings(outer: str, own: tuple[str, ...], inner: bytes) -> Mapping[str, bytes]:
    """Return requests whose end can be read in two ways; `inner` is a whole request that is there in one of them.

    Args:
        outer: The request line.
        own: The headers that let it in.
        inner: The request that is hidden in it.
    """
    hidden = b"0\r\n\r\n" + inner
    length, chunked = f"Content-Length: {len(hidden)}", "Transfer-Encoding: chunked"
    in_a_chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)
    whole = f"Content-Length: {2 + len(inner)}"

    def made(*headers: str, body: bytes = hidden, line: str = outer) -> bytes:
        return request(line, *own, *headers, body=body)

    return {
        "length and chunks": made(length, chunked),
        "chunks and a short length": made(chunked, "Content-Length: 4", body=in_a_chunk),
        "two lengths": made("Content-Length: 2", whole, body=b"{}" + inner),
        "two lengths in one": made(f"Content-Length: 2, {2 + len(inner)}", body=b"{}" + inner),
        "a length with a sign": made("Content-Length: +2", body=b"{}" + inner),
        "a length below 0": made("Content-Length: -2", body=b"{}" + inner),
        "a length in hex": made("Content-Length: 0x2", body=b"{}" + inner),
        "a length of 80 bits": made("Content-Length: 1208925819614629174708", body=b"{}" + inner),
        "no length": made("Content-Length:", body=inner),
        "a length with a space": made("Content-Length : 2", body=b"{}" + inner),
        "chunks on a folded line": made(length, "Transfer-Encoding:\r\n chunked"),
        "a length on a folded line": made("X-A: b\r\n Content-Length: 2", whole, body=b"{}" + inner),
        "chunks behind a bare line feed": made(length, "X-A: b\nTransfer-Encoding: chunked"),
        "chunks behind a bare return": made(length, "X-A: b\rTransfer-Encoding: chunked"),
        "xchunked": made(length, "Transfer-Encoding: xchunked"),
        "xchunked alone": made("Transfer-Encoding: xchunked"),
        "chunked with a space": made(length, "Transfer-Encoding : chunked"),
        "chunked with a tab": made(length, "Transfer-Encoding: \x0bchunked"),
        "chunked twice": made(chunked, "Transfer-Encoding: x"),
        "identity, chunked": made("Transfer-Encoding: identity, chunked"),
        "chunked, identity": made("Transfer-Encoding: chunked, identity"),
        "an underscore": made(length, "Transfer_Encoding: chunked"),
        "a chunk of 65 bits": made(chunked, body=b"10000000000000002\r\n{}\r\n0\r\n\r\n" + inner),
        "a chunk below 0": made(chunked, body=b"-2\r\n{}\r\n0\r\n\r\n" + inner),
        "a chunk that ends in a line feed": made(chunked, body=b"2\n{}\n0\n\n" + inner),
        "an extension that ends in one": made(chunked, body=b"2;\n{}\r\n0\r\n\r\n" + inner),
        "chunks in HTTP/1.0": made(chunked, body=in_a_chunk, line=outer.replace("1.1", "1.0")),
        "a body of GET": made(f"Content-Length: {len(inner)}", body=inner, line="GET /-/readyz HTTP/1.1"),
        "NUL in a name": made("X\0: 1", "Content-Length: 2", body=b"{}" + inner),
        "a name of two words": made(f"X {whole}", "Content-Length: 2", body=b"{}" + inner),
        "a space before the first header": request(
            outer, " " + whole, *own, "Content-Length: 2", body=b"{}" + inner
        ),
    }
