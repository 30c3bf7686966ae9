"""
The classic workshop webhook: Flask's own server, and a shell script for each alert.

    python -m bench.peers.workshop PORT SCRIPT TOKEN
"""

import logging
import subprocess
import sys

from flask import Flask, Response, request


def main() -> None:
    """Serve until stopped."""
    port, script, token = sys.argv[1:]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Flask(__name__)

    @app.post("/hooks/heal")
    def heal() -> Response:
        if request.headers.get("Authorization") != f"Bearer {token}":
            return Response(status=401)
        for alert in request.get_json()["alerts"]:
            subprocess.run(["bash", script, alert["labels"]["name"]], capture_output=True)
        return Response(status=202)

    app.run(host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main()
