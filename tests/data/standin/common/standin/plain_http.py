"""One HTTP request over a socket: the standard library's clients take longer to import than to run.

Only for the stand-in's own login app, which closes the connection after each answer.
"""

import socket


def ask(method, url, content=b""):
    """Return status, reason and text of the answer. Raises OSError where there is none."""
    netloc, _, path = url.removeprefix("http://").partition("/")
    host, _, port = netloc.partition(":")
    head = f"{method} /{path} HTTP/1.0\r\nHost: {netloc}\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode() + content)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    headers, _, text = answer.partition(b"\r\n\r\n")
    if not headers:
        raise ConnectionResetError("no answer")
    _, status, reason = headers.split(b"\r\n")[0].decode().split(" ", 2)
    return int(status), reason, text.decode()
