"""Who is believed over TLS: this machine's authorities where they are needed, else nobody."""

import os
import ssl

import pytest

from app.adapters.trust import no_certificates, trusted


@pytest.mark.parametrize("urls", [(), ("http://prometheus:9090", "unix:///run/docker.sock")])
def test_who_asks_nobody_over_tls_believes_nobody(urls: tuple[str, ...]) -> None:
    context = trusted(urls)

    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509"] == 0


def test_one_address_with_tls_is_enough_to_believe_the_machines_authorities() -> None:
    assert trusted(("http://prometheus:9090", "https://grafana.example")) is True


def test_no_certificates_are_found_within_the_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/somewhere/ca.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)

    with no_certificates():
        found = ssl.create_default_context().cert_store_stats()["x509"]

    assert found == 0
    assert os.environ["SSL_CERT_FILE"] == "/somewhere/ca.pem"
    assert "SSL_CERT_DIR" not in os.environ
