"""
Settings: ``RELEVO_*`` from the environment, each secret also as ``RELEVO_*_FILE``.

A leaf: only the wiring places read it, and hand each part the two or three values it needs.
"""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.domain.target import is_safe_name
from app.errors import BadConfiguration
from app.policies.spec import Mode

PREFIX = "RELEVO_"
#: pydantic's own words speak of input and of classes.
_SAYINGS = {
    "enum": "must be {expected}",
    "float_parsing": "must be a number",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} at most",
    "string_pattern_mismatch": "is none of the words in docs/configuration.md",
}
_LOOPBACK_NAMES = {"localhost", "ip6-localhost"}


class Address(str):
    """``host:port`` to listen on, with both halves."""

    @property
    def host(self) -> str:
        """The part before the last colon, without brackets."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The part after the last colon."""
        return int(self.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to it."""
        if self.host in _LOOPBACK_NAMES:
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class _FileSource(PydanticBaseSettingsSource):
    """``RELEVO_X_FILE``: the value of ``X`` is what that file holds, right-stripped."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if not path:
            return None, field_name, False
        try:
            held = Path(path).read_text(encoding="utf-8").rstrip()
        except (OSError, UnicodeDecodeError) as exc:
            raise BadConfiguration(
                f"{PREFIX}{field_name.upper()}_FILE: cannot read {path}: {exc}"
            ) from exc
        if not held:
            # Taken for "unset", a token file that nobody filled would open every door.
            raise BadConfiguration(f"{PREFIX}{field_name.upper()}_FILE: {path} is empty")
        return held, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {}
        for name, field in self.settings_cls.model_fields.items():
            value, _, _ = self.get_field_value(field, name)
            if value is not None:
                found[name] = value
        return found


Secrets = Annotated[tuple[SecretStr, ...], NoDecode]
Urls = Annotated[tuple[str, ...], NoDecode]
Users = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], NoDecode]


class Settings(BaseSettings):
    """All of them, with the documented defaults."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore")

    listen: Address = Address("127.0.0.1:5000")
    collect_listen: Address = Address("127.0.0.1:5001")
    #: What the command line calls, and sends.
    url: str = "http://127.0.0.1:5000"
    token: SecretStr | None = None
    label_prefix: str = "relevo"
    #: How people reach this Relevo: the base of every link.
    external_url: str | None = None
    engine_name: str | None = None
    #: Unset: an embedded server with its append-only file in `data_dir`.
    redis_url: SecretStr | None = None
    data_dir: Path = Path("data")
    policies: Path | None = None
    #: Where the gate listens, and where controller and collector find it; unset: they ask the
    #: engine themselves.
    gate_socket: Path | None = None
    #: Numbers of the users that may ask the gate, besides its own: comma-separated.
    gate_users: Users = ()
    mode: Mode = Mode.ENFORCE
    #: Several, comma-separated, for a highly available pair.
    alertmanager_url: Urls = ()
    alertmanager_receiver: str = "relevo"
    prometheus_url: str | None = None
    #: Takes annotations where there is a token, or user and password in the URL.
    grafana_url: str | None = None
    grafana_token: SecretStr | None = None
    #: Several, one a line, so that they can be rotated.
    token_ingest: Secrets = ()
    token_read: Secrets = ()
    token_operate: Secrets = ()
    token_admin: Secrets = ()
    #: How many times faster than real time the chain around us runs (demo and tests only):
    #: divides the waits that have no key in the policy file.
    time_factor: float = Field(default=1.0, ge=1.0, le=1000.0)
    log_format: str = Field(default="logfmt", pattern="^(logfmt|json)$")
    #: The engine, as Docker's own variable has it.
    docker_host: str = Field(default="unix:///var/run/docker.sock", validation_alias="DOCKER_HOST")

    @field_validator("token_ingest", "token_read", "token_operate", "token_admin", mode="before")
    @classmethod
    def _lines(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(line.strip() for line in value.splitlines() if line.strip())
        return value

    @field_validator("token", mode="before")
    @classmethod
    def _first_line(cls, value: object) -> object:
        # The file may be the server's own, which holds several while they are rotated.
        return value.strip().partition("\n")[0].strip() if isinstance(value, str) else value

    @field_validator(
        "token", "token_ingest", "token_read", "token_operate", "token_admin", "grafana_token"
    )
    @classmethod
    def _sendable(
        cls, value: SecretStr | tuple[SecretStr, ...] | None
    ) -> SecretStr | tuple[SecretStr, ...] | None:
        for token in (value,) if isinstance(value, SecretStr) else value or ():
            if re.fullmatch(r"[!-~]+", token.get_secret_value()) is None:
                raise ValueError("a token holds visible ASCII characters only, and no blanks")
        return value

    @field_validator("alertmanager_url", "gate_users", mode="before")
    @classmethod
    def _commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(url.strip().rstrip("/") for url in value.split(",") if url.strip())
        return value

    @field_validator("alertmanager_url", "prometheus_url", "external_url", "grafana_url", "url")
    @classmethod
    def _web(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for url in (value,) if isinstance(value, str) else value or ():
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{url!r} must start with http:// or https://")
            try:
                is_whole = bool(urlsplit(url).hostname) and urlsplit(url).port != 0
            except ValueError:
                is_whole = False
            if not is_whole:
                raise ValueError(f"{url!r} must name a host, and a port up to 65535 if any")
        return value.rstrip("/") if isinstance(value, str) else value

    @field_validator("listen", "collect_listen", mode="before")
    @classmethod
    def _address(cls, value: object) -> object:
        host, colon, port = str(value).rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"{value!r} must be host:port, such as 127.0.0.1:5000")
        return Address(value)

    @field_validator("label_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if not is_safe_name(value):
            raise ValueError("may hold letters, digits, '_', '.' and '-' only")
        return value.rstrip(".")

    @field_validator("docker_host")
    @classmethod
    def _engine_url(cls, value: str) -> str:
        if not value.startswith(("unix://", "tcp://")):
            raise ValueError(f"{value!r} must start with unix:// or tcp://")
        return value

    @field_validator("engine_name")
    @classmethod
    def _engine(cls, value: str | None) -> str | None:
        if value is not None and not is_safe_name(value):
            raise ValueError(f"{value!r} may hold letters, digits, '_', '.' and '-' only")
        return value

    @model_validator(mode="after")
    def _not_open_to_the_world(self) -> "Settings":
        if not self.listen.is_loopback and not self.has_tokens:
            raise ValueError(
                f"RELEVO_LISTEN={self.listen} can be reached from other machines, and there are no "
                "tokens. Set RELEVO_TOKEN_INGEST_FILE, RELEVO_TOKEN_READ_FILE and "
                "RELEVO_TOKEN_OPERATE_FILE to files that hold one random token each "
                "(openssl rand -hex 32), or listen on 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _no_tls_to_the_engine(self) -> "Settings":
        if os.environ.get("DOCKER_TLS_VERIFY"):
            raise ValueError(
                "DOCKER_TLS_VERIFY: TLS to a remote engine is not supported yet; run Relevo on the "
                "engine's own host, or reach its socket through a tunnel"
            )
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """Everything outside that these lead to, secrets included."""
        redis = self.redis_url.get_secret_value() if self.redis_url is not None else None
        single = (self.prometheus_url, self.grafana_url, redis)
        return (*self.alertmanager_url, self.docker_host, *(url for url in single if url))

    @property
    def has_tokens(self) -> bool:
        """Whether callers must show a token."""
        return bool(self.token_ingest or self.token_read or self.token_operate or self.token_admin)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _FileSource(settings_cls), env_settings


def with_tokens_of_files(settings: Settings) -> Settings:
    """
    Read the tokens anew that stand in files: of all settings only they are exchanged at work.

    :raises BadConfiguration: as `load_settings`; nothing has changed
    """
    source = _FileSource(Settings)
    names = [name for name in Settings.model_fields if name.startswith("token_")]
    held = {name: source.get_field_value(Settings.model_fields[name], name)[0] for name in names}
    told = {name: value for name, value in held.items() if value is not None}
    try:
        return Settings.model_validate({**settings.model_dump(), **told})
    except ValidationError as exc:
        raise BadConfiguration(_said(exc)) from exc


def load_settings(**overrides: Any) -> Settings:
    """
    Read the environment.

    :raises BadConfiguration: one line per wrong setting, each named as people set it
    """
    try:
        return Settings(**overrides)
    except ValidationError as exc:
        raise BadConfiguration(_said(exc)) from exc


def _said(exc: ValidationError) -> str:
    lines = []
    for error in exc.errors(include_url=False, include_input=False):
        where = str(error["loc"][0]) if error["loc"] else ""
        name = where if where.startswith("DOCKER") or not where else f"{PREFIX}{where.upper()}"
        message = error["msg"].removeprefix("Value error, ")
        if error["type"] in _SAYINGS:
            message = _SAYINGS[error["type"]].format(**error.get("ctx", {}))
        lines.append(f"{name}: {message}" if name else message)
    return "\n".join(lines)
