"""
The sick service of the demo: every request costs a known amount of CPU time.

The cost is measured with the CPU clock of the thread that serves the request, so it is the same
on every machine, however fast or busy, and a container with a CPU limit is overloaded by a known
rate of requests. A restart cannot cure that; a second instance under the same name can.

    GET /         one request's worth of work, then which instance did it and how many so far
    GET /served   how many so far, without work        GET /healthz   for the health check
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: CPU time of one request, seconds.
COST = float(os.environ.get("COST_MS", "3")) / 1000
#: All addresses: inside its container there are no others but its own.
HOST = os.environ.get("HOST", "0.0.0.0")
PORT = int(os.environ.get("PORT", "8000"))


class Counter:
    """How many requests this instance has served since it started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._served = 0

    def add(self) -> int:
        """Count one more."""
        with self._lock:
            self._served += 1
            return self._served

    @property
    def served(self) -> int:
        """All so far."""
        return self._served


def burn(cost: float) -> None:
    """Use up what is left of this thread's `cost` seconds of CPU time."""
    # A thread serves one request, so its clock began with the request: reading and parsing it
    # are part of the cost.
    while time.thread_time() < cost:
        sum(range(200))


class Handler(BaseHTTPRequestHandler):
    """One request in its own thread."""

    counter = Counter()
    instance = socket.gethostname()
    #: A client that sends nothing does not hold a thread for ever.
    timeout = 10
    #: Head and body leave together: who is stopped in between has answered all of it, or nothing,
    #: and nothing can be asked again elsewhere.
    wbufsize = -1

    def do_GET(self) -> None:
        """Serve one request."""
        if self.path == "/":
            burn(COST)
            served = self.counter.add()
        elif self.path in {"/served", "/healthz"}:
            served = self.counter.served
        else:
            self.send_error(404)
            return
        body = json.dumps({"instance": self.instance, "served": served}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: one line per request is no log that anybody reads."""


class Server(ThreadingHTTPServer):
    """Never waits for its threads, and never complains about clients that went away."""

    daemon_threads = True
    # Clients bound what they have in flight; what waits here must not be refused by the kernel.
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Report what is not the client's hanging up."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def main() -> None:
    """Serve until told to stop."""
    # As process 1 in its container it gets no default handler for SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = Server((HOST, PORT), Handler)
    sys.stdout.write(f"serving on :{PORT}, {COST * 1000:g} ms of CPU per request\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
