"""What the settings lead to."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.adapters.policy_file import load_rulebook
from app.api.deps import Scope
from app.api.rotation import RotatingTokens
from app.errors import BadConfiguration
from app.main import grafana_of, open_controller
from app.settings import Settings, load_settings

URL = "https://grafana.example/base"


@pytest.mark.parametrize(
    ("settings", "takes_annotations"),
    [
        pytest.param({}, False, id="no Grafana"),
        pytest.param({"grafana_token": "glsa_1"}, False, id="a token for nobody"),
        pytest.param({"grafana_url": URL}, False, id="no right to write there"),
        pytest.param({"grafana_url": URL, "grafana_token": "glsa_1"}, True, id="a token"),
        pytest.param(
            {"grafana_url": "https://relevo:pw@grafana.example"}, True, id="a user and a password"
        ),
    ],
)
async def test_annotations_go_where_relevo_may_write_them(
    settings: dict[str, Any], takes_annotations: bool
) -> None:
    async with httpx.AsyncClient() as http:
        assert (grafana_of(Settings(**settings), http) is not None) is takes_annotations


async def test_tokens_in_files_are_exchanged_at_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "read"
    file.write_text("old\nnext\n")
    monkeypatch.setenv("RELEVO_TOKEN_READ_FILE", str(file))
    monkeypatch.setenv("RELEVO_TOKEN_ADMIN", "root")
    monkeypatch.setenv("RELEVO_REDIS_URL", "redis://127.0.0.1:1")  # nobody is there
    monkeypatch.setenv("RELEVO_DATA_DIR", str(tmp_path / "data"))
    settings = load_settings()

    async with open_controller(settings, load_rulebook(None)) as opened:
        tokens, reloading = opened.parts.tokens, opened.parts.reloading

        def known() -> list[str]:
            return [one for one in ("old", "next", "last", "root") if tokens.is_known(one)]

        assert known() == ["old", "next", "root"]
        file.write_text("next\nlast\n")
        assert known() == ["old", "next", "root"]
        reloading.reload()
        assert known() == ["next", "last", "root"]
        assert tokens.open(Scope.READ, "last")
        assert not tokens.open(Scope.OPERATE, "last")

        for wrong, said in (("", "is empty"), ("two words", "no blanks")):
            file.write_text(wrong)
            with pytest.raises(BadConfiguration, match=said):
                reloading.reload()
            assert known() == ["next", "last", "root"]
        file.unlink()
        reloading.quietly()
        assert known() == ["next", "last", "root"]


def test_the_last_token_is_not_taken_away() -> None:
    tokens = RotatingTokens({Scope.READ: ["old"]})

    with pytest.raises(BadConfiguration, match="everybody"):
        tokens.take({Scope.READ: []})

    assert tokens.are_asked_for
    assert tokens.open(Scope.READ, "old")
