"""Settings: config.toml's defaults, a file over them, the environment over both.

Loaded once by each program into a frozen Settings, whose sections are passed down. Every fault
of the file and the environment is reported together, with its key and what would be right.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from adctl.config_ceiling import checked_max_cpm
from adctl.config_connections import ConnectionSettings
from adctl.config_daemon import ApiSettings, DaemonSettings, Port
from adctl.config_events import ConversionSettings, RetentionSettings
from adctl.config_exchange import ExchangeSettings
from adctl.config_faults import HIDDEN, faults_of, shown
from adctl.config_files import TomlSource, require_readable
from adctl.config_identity import IdentitySettings
from adctl.config_keys import SigningSettings
from adctl.config_notices import AlarmSettings, WebhookSettings
from adctl.config_section import KeyFaultError, Section
from adctl.config_topics import TOPIC_DEFAULTS, TopicSettings, complete_topics
from adctl.config_urls import ENCODED, is_server_url, redis_node_urls
from adctl.errors import ConfigError, Fault
from adctl.resources import DEFAULT_CONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping

Positive = Annotated[int, Field(gt=0)]
GroupName = Literal["analytics", "billing", "notify"]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class PostgresSettings(Section):
    """``[postgres]``."""

    url: SecretStr = SecretStr("")
    pool_size: Positive = 25
    connect_timeout_sec: Positive = 5

    @field_validator("url")
    @classmethod
    def _url_is_postgres(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text and not is_server_url(text, ("postgresql", "postgres"), strictly_encoded=True):
            raise ValueError(f"postgresql://user:password@host:port/database, {ENCODED}")
        return url


class RedisSettings(Section):
    """``[redis]``."""

    url: SecretStr = SecretStr("")
    shards: Annotated[int, Field(gt=0, le=256)] = 1
    pool_size: Positive = 10
    timeout_ms: Positive = 2000
    hot_timeout_ms: Positive = 50

    @field_validator("url")
    @classmethod
    def _url_is_redis(cls, url: SecretStr) -> SecretStr:
        expected = (
            "redis://user:password@host:port/0, "
            f"or redis+cluster://user:password@host:port,host:port for a cluster, {ENCODED}"
        )
        text = url.get_secret_value()
        try:
            nodes = redis_node_urls(text) if text else []
        except ValueError:
            raise ValueError(expected) from None
        if not all(is_server_url(node, ("redis", "rediss")) for node in nodes):
            raise ValueError(expected)
        return url


class KafkaSettings(Section):
    """``[kafka]``."""

    bootstrap: str = Field(
        default="",
        pattern=r"^([^\s,:/]+:[0-9]{1,5}(,[^\s,:/]+:[0-9]{1,5})*)?$",
        description="host:port, several separated by commas",
    )
    topic_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="letters, digits, dots, hyphens and underscores",
    )
    partitions: Positive = 3
    replication: Positive = 1
    topics: dict[str, TopicSettings] = Field(default=dict(TOPIC_DEFAULTS))

    @field_validator("topics", mode="after")
    @classmethod
    def _every_topic_is_known(cls, topics: dict[str, TopicSettings]) -> dict[str, TopicSettings]:
        return complete_topics(topics)


class BidderSettings(DaemonSettings):
    """``[bidder]``."""

    port: Port = 8080
    workers: Positive = 1
    seat: str = Field(default="seat1", min_length=1)
    max_body_bytes: Positive = 262_144
    arrival_timeout_sec: Positive = 10
    max_imps: Positive = 20
    max_candidates: Positive = 12
    network_margin_ms: int = Field(default=20, ge=0)
    decision_buffer: Positive = 10_000
    explain_every: int = Field(default=1000, ge=0)
    max_cpm: str = "20.00"
    _max_cpm_is_a_price = field_validator("max_cpm")(checked_max_cpm)


class TrackerSettings(DaemonSettings):
    """``[tracker]``."""

    port: Port = 8081
    workers: Positive = 1
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s\"<>]+[^/\s\"<>])?$",
        description="https://host or http://host, without a slash at the end",
    )
    token_ttl_sec: Positive = 86_400
    spool_max_bytes: int = Field(default=1 << 30, ge=1 << 20)
    journal_max_bytes: int = Field(default=1 << 30, ge=1 << 20)
    stream_max_entries: Positive = 2_000_000

    @property
    def base_url(self) -> str:
        """What tracking URLs begin with, without a slash at the end."""
        return self.public_url or f"http://{self.host}:{self.port}"


class FlusherSettings(DaemonSettings):
    """``[flusher]``."""

    port: Port = 8083
    batch_size: Annotated[int, Field(gt=0, le=10_000)] = 100
    interval_sec: Seconds = 1.0


class ConsumerSettings(DaemonSettings):
    """``[consumer]``."""

    port: Port = 8084
    batch_size: Annotated[int, Field(gt=0, le=100_000)] = 5000
    dead_letter_max_bytes: Annotated[int, Field(gt=0, le=500_000)] = 65_536
    groups: Annotated[tuple[GroupName, ...], Field(min_length=1)] = (
        "analytics",
        "billing",
        "notify",
    )


class PacerSettings(DaemonSettings):
    """``[pacer]``."""

    port: Port = 8085
    interval_sec: Seconds = 1.0


class MoneySettings(Section):
    """``[money]``."""

    reservation_ttl_sec: Positive = 3600
    reservation_bucket_sec: Positive = 60
    rates_file: Path = Path()


class FcapSettings(Section):
    """``[fcap]``."""

    hold_sec: Positive = 120


class PrivacySettings(Section):
    """``[privacy]``."""

    vendor_id: int = Field(default=0, ge=0, le=65535)
    gdpr_policy: Literal["contextual", "no_bid"] = "contextual"


class CatalogSettings(Section):
    """``[catalog]``."""

    ttl_sec: Positive = 3600
    refresh_sec: Positive = 30


_EXCHANGE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Settings(BaseSettings):
    """Everything an adctl program can be told. Frozen; build it with load_settings."""

    model_config = SettingsConfigDict(
        env_prefix="ADCTL_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    state_dir: Path = Path()
    currency: str = Field(
        default="USD", pattern=r"^[A-Z]{3}$", description="three capital letters such as USD"
    )
    log_format: Literal["console", "json"] = "console"
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    kafka: KafkaSettings = KafkaSettings()
    bidder: BidderSettings = BidderSettings()
    tracker: TrackerSettings = TrackerSettings()
    api: ApiSettings = ApiSettings()
    flusher: FlusherSettings = FlusherSettings()
    consumer: ConsumerSettings = ConsumerSettings()
    pacer: PacerSettings = PacerSettings()
    connections: ConnectionSettings = ConnectionSettings()
    money: MoneySettings = MoneySettings()
    alarms: AlarmSettings = AlarmSettings()
    webhooks: WebhookSettings = WebhookSettings()
    conversions: ConversionSettings = ConversionSettings()
    retention: RetentionSettings = RetentionSettings()
    fcap: FcapSettings = FcapSettings()
    privacy: PrivacySettings = PrivacySettings()
    identity: IdentitySettings = IdentitySettings()
    catalog: CatalogSettings = CatalogSettings()
    signing: SigningSettings = SigningSettings()
    exchanges: dict[str, ExchangeSettings] = {"default": ExchangeSettings()}

    @field_validator("state_dir", mode="after")
    @classmethod
    def _state_dir_or_the_usual_place(cls, folder: Path) -> Path:
        return (default_state_dir() if folder == Path() else folder.expanduser()).absolute()

    @property
    def longest_event_sec(self) -> int:
        """How long after its bid the last event of it may come."""
        windows = max(self.conversions.windows)
        return self.tracker.token_ttl_sec + windows

    @model_validator(mode="after")
    def _events_are_kept_while_they_come(self) -> Self:
        needed = -(-self.longest_event_sec // 86_400) + 2
        if 0 < self.retention.events_days < needed:
            raise KeyFaultError(
                "retention.events_days",
                self.retention.events_days,
                f"0 or at least {needed}: events of a bid may come for "
                f"{self.longest_event_sec} seconds (tracker.token_ttl_sec, conversions)",
            )
        return self

    @field_validator("exchanges", mode="after")
    @classmethod
    def _default_exchange_exists(
        cls, exchanges: dict[str, ExchangeSettings]
    ) -> dict[str, ExchangeSettings]:
        # A name is a part of the path, and of every token.
        if wrong := [name for name in exchanges if not _EXCHANGE_NAME.fullmatch(name)]:
            expected = "tables named with 1 to 64 letters, digits, dots, hyphens or underscores"
            raise ValueError(f"{expected}, not {', '.join(repr(shown(name)) for name in wrong)}")
        return {"default": ExchangeSettings(), **exchanges}


def rates_path(settings: Settings) -> Path | None:
    """Return where the exchange rates are, None if no file is named."""
    named = settings.money.rates_file
    return None if named == Path() else settings.state_dir / named.expanduser()


def default_state_dir() -> Path:
    """Return where state is kept when nobody says: a system folder for root, else the user's."""
    if os.geteuid() == 0:
        return Path("/var/lib/adctl")
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "adctl"


def load_settings(
    path: Path | None = None, overrides: Mapping[str, object] | None = None
) -> Settings:
    """Return the settings in force: defaults, then ``path`` (or ADCTL_CONFIG), then environment.

    ``overrides`` (nested by section) stand above all; the embedded stack's URLs come this way.
    Raises ConfigError with every fault found, FileNotFound included.
    """
    chosen = chosen_file(path)
    files = [DEFAULT_CONFIG, *([chosen] if chosen else [])]
    require_readable(files)

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the framework's signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            toml = TomlSource(settings_cls, files, deep_merge=True)
            return init_settings, env_settings, toml

    subject = f"configuration ({chosen or 'environment'})"
    try:
        return Loaded(**dict(overrides or {}))  # type: ignore[arg-type]
    except ValidationError as exc:
        faults = faults_of(exc, Settings)
    except SettingsError as exc:
        # A section in one variable that is not JSON; its text may hold a password.
        faults = [_unreadable_section(exc)]
    # Out here, so that no traceback leads to what was read.
    raise ConfigError(subject, faults)


def chosen_file(path: Path | None = None) -> Path | None:
    """Return the file that stands over the defaults: ``path``, else ADCTL_CONFIG, else none."""
    return path or (Path(name) if (name := os.environ.get("ADCTL_CONFIG")) else None)


def _unreadable_section(exc: SettingsError) -> Fault:
    section = next((name for name in Settings.model_fields if f'"{name}"' in str(exc)), "")
    variable = f"ADCTL_{section}".upper()
    return Fault(variable, HIDDEN, f"the section as JSON; for a single key, {variable}_KEY")
