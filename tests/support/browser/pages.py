"""
Pages for a browser, from a web server on this machine.
"""

import mimetypes
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

END_S = 5.0


@contextmanager
def serving_pages(
    files: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> Iterator[str]:
    """
    Serve these texts by their paths (`/app.js`), each with these headers; yield the origin.

    `/` is `/index.html`. What is added to the mapping meanwhile is served too.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = "/index.html" if self.path == "/" else self.path
            body = files.get(path, "").encode()
            kind, _ = mimetypes.guess_type(path)
            self.send_response(200 if path in files else 404)
            self.send_header("Content-Type", f"{kind or 'text/plain'}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *what: object) -> None:
            """Say nothing: a test that fails says what it missed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(END_S)
