"""``relevo healthcheck``: run by the engine every few seconds, so it loads little."""

import click
import httpx

from app.cli.ending import end
from app.errors import BadConfiguration
from app.settings import Settings, load_settings


@click.command()
@click.option("--url", help="What to ask; by default /-/healthy of RELEVO_URL.")
@click.option("--gate", is_flag=True, help="Ask the gate, at RELEVO_GATE_SOCKET.")
def healthcheck(url: str | None, gate: bool) -> None:
    """Exit 0 if Relevo answers: for a container's health check."""
    try:
        if gate:
            answer = _gate_answers(load_settings())
        else:
            answer = httpx.get(url or f"{load_settings().url}/-/healthy", timeout=5)
    except (httpx.HTTPError, BadConfiguration) as exc:
        end(f"no answer: {exc}")
    if answer.status_code != httpx.codes.OK:
        end(f"answered {answer.status_code}")


def _gate_answers(settings: Settings) -> httpx.Response:
    """Ask the gate for nothing, which it answers whether its engine does or not."""
    transport = httpx.HTTPTransport(uds=str(settings.gate_socket))
    with httpx.Client(transport=transport, timeout=5) as client:
        return client.post(
            "http://gate/intentions/extend", json={"ticket": "nobody", "not_after": 0}
        )
