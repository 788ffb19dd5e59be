from __future__ import annotations

import tomllib
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adctl.config import Settings, load_settings
from adctl.config_ceiling import max_cpm_micros
from adctl.config_keys import parse_price_keys
from adctl.config_sources import settings_in_force, unknown_variables
from adctl.config_urls import redis_node_urls
from adctl.errors import ConfigError
from adctl.money import MAX_CPM_MICROS
from adctl.resources import DEFAULT_CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "s3cret-never-shown"

BROKEN = f"""
currency = "usd"
log_format = "xml"
stat_dir = "x"
[postgres]
url = "mysql://me:{SECRET}@h/x"
pool_size = 0
[redis]
url = "redis:{SECRET}"
timeout_ms = "soon"
[kafka]
bootstrap = "localhost"
topic_prefix = "a b"
[bidder]
prot = 1
port = 70000
seat = ""
[tracker]
public_url = "ftp://x"
[signing]
keys = "1:{SECRET}"
[flusher]
interval_sec = -1
[exchanges.x]
billing_event = "never"
"""


@pytest.fixture
def faults_in(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Load a file and return its faults: key → the whole line."""

    def load(text: str) -> dict[str, str]:
        file = tmp_path / "adctl.toml"
        file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_settings(file)
        return {fault.field: str(fault) for fault in caught.value.faults}

    return load


def test_config_toml_says_what_the_program_takes_as_default() -> None:
    file = tomllib.loads(DEFAULT_CONFIG.read_text())
    assert load_settings().model_dump() == Settings.model_validate(file).model_dump()
    assert load_settings().model_dump() == Settings(state_dir=Path()).model_dump()


def test_config_toml_documents_every_key_with_its_variable() -> None:
    text = DEFAULT_CONFIG.read_text()
    variables = {setting.variable for setting in settings_in_force(load_settings())}
    assert [variable for variable in variables if variable not in text] == []


def test_every_fault_is_reported_at_once(faults_in: Callable[[str], dict[str, str]]) -> None:
    assert set(faults_in(BROKEN)) == {
        "currency",
        "log_format",
        "stat_dir",
        "postgres.url",
        "postgres.pool_size",
        "redis.url",
        "redis.timeout_ms",
        "kafka.bootstrap",
        "kafka.topic_prefix",
        "bidder.prot",
        "bidder.port",
        "bidder.seat",
        "tracker.public_url",
        "signing.keys",
        "flusher.interval_sec",
        "exchanges.x.billing_event",
    }


def test_no_fault_shows_a_secret(faults_in: Callable[[str], dict[str, str]]) -> None:
    assert SECRET not in "".join(faults_in(BROKEN).values())


@pytest.mark.parametrize("variable", ["ADCTL_POSTGRES", "ADCTL_REDIS"])
def test_a_url_in_a_sections_variable_is_a_fault_that_hides_it(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"postgresql://me:{SECRET}@h/x")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert variable in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_section_that_is_no_table_hides_what_may_be_a_secret(
    faults_in: Callable[[str], dict[str, str]],
) -> None:
    found = faults_in(f'postgres = "postgresql://me:{SECRET}@h/x"')
    assert "a table of keys" in found["postgres"]
    assert SECRET not in found["postgres"]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("bidder.port", "70000", "got 70000; expected a number of at most 65535"),
        ("bidder.port", '"http"', "got 'http'; expected a whole number"),
        ("bidder.workers", "0", "got 0; expected a number above 0"),
        ("bidder.network_margin_ms", "-1", "got -1; expected a number of at least 0"),
        ("flusher.interval_sec", "0", "got 0; expected a number above 0"),
        ("tracker.public_url", '"x.com"', "expected https://host or http://host"),
        ("kafka.bootstrap", '"a"', "expected host:port"),
        ("signing.user_key", '"12"', "expected 32 bytes as 64 hexadecimal digits"),
        ("signing.keys", '"x"', "expected each key as ID:SECRET"),
        ("signing.signs_with", "2", "expected 0 where signing.keys is empty"),
        ("signing.signs_with", "256", "got 256; expected a number of at most 255"),
        ("identity.sources", '["ifa", "idfa"]', "eids:DOMAIN, not 'idfa'"),
        ("identity.sources", '["eids:x"]', "eids:DOMAIN, not 'eids:x'"),
        ("identity.sources", '["ifa", "IFA "]', "each once"),
        ("identity.inserters", '["https://a.example/"]', "domains such as exchange.example"),
        ("identity.inferred", '"maybe"', "expected 'never', 'by_source' or 'always'"),
    ],
)
def test_a_fault_says_what_would_be_right(
    key: str, value: str, expected: str, faults_in: Callable[[str], dict[str, str]]
) -> None:
    section, name = key.split(".")
    assert expected in faults_in(f"[{section}]\n{name} = {value}\n")[key]


def test_a_key_that_is_to_sign_and_is_not_there_is_a_fault_that_shows_no_key(
    faults_in: Callable[[str], dict[str, str]],
) -> None:
    secret = "ab" * 32
    faults = faults_in(f'[signing]\nkeys = "2:{secret},1:{"cd" * 32}"\nsigns_with = 3')
    assert list(faults) == ["signing.signs_with"]
    assert "the ID of a key in signing.keys (1, 2)" in faults["signing.signs_with"]
    assert secret not in faults["signing.signs_with"]


@pytest.mark.parametrize(
    "url", ["postgres://u@h/d", "postgresql://u:p@h:5432/d?sslmode=require", ""]
)
def test_usual_postgres_urls_are_taken(url: str) -> None:
    settings = load_settings(overrides={"postgres": {"url": url}})
    assert settings.postgres.url.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://u:p@h:6380/2",
        "redis://[::1]:6379",
        "redis+cluster://h:7001",
        "rediss+cluster://u:p@h:7001,[::1]:7002/0",
        "",
    ],
)
def test_usual_redis_urls_are_taken(url: str) -> None:
    assert load_settings(overrides={"redis": {"url": url}}).redis.url.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    ["redis+cluster://h:7001/3", "redis+cluster://h:1,:2", "redis+cluster://", "redis://a:1,b:2"],
)
def test_cluster_url_that_names_a_database_or_no_host_is_refused(
    url: str, faults_in: Callable[[str], dict[str, str]]
) -> None:
    assert "redis+cluster://" in faults_in(f'[redis]\nurl = "{url}"')["redis.url"]


def test_cluster_url_names_each_node_with_the_same_account() -> None:
    assert redis_node_urls("rediss+cluster://u:p@a:1,b:2") == [
        "rediss://u:p@a:1/0",
        "rediss://u:p@b:2/0",
    ]
    assert redis_node_urls("redis://a:1/3") == ["redis://a:1/3"]


@pytest.mark.parametrize("servers", ["a:9092", "a:9092,b.example:9093", ""])
def test_usual_bootstrap_servers_are_taken(servers: str) -> None:
    assert load_settings(overrides={"kafka": {"bootstrap": servers}}).kafka.bootstrap == servers


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_settings(tmp_path / "nowhere.toml")


def test_a_file_that_is_no_toml_is_a_fault(faults_in: Callable[[str], dict[str, str]]) -> None:
    assert "TOML" in faults_in("[bidder")["--config"]


def test_the_environment_stands_over_the_file_and_the_file_over_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adctl.toml"
    file.write_text("[bidder]\nport = 1111\nworkers = 2\n")
    monkeypatch.setenv("ADCTL_BIDDER_PORT", "2222")
    settings = load_settings(file)
    found = {setting.key: setting for setting in settings_in_force(settings, file)}
    assert (found["bidder.port"].value, found["bidder.port"].source) == (2222, "environment")
    assert (found["bidder.workers"].value, found["bidder.workers"].source) == (2, str(file))
    assert found["bidder.seat"].source == "default"


def test_the_overview_hides_secrets() -> None:
    settings = load_settings(overrides={"redis": {"url": f"redis://:{SECRET}@h"}})
    found = {setting.key: setting.value for setting in settings_in_force(settings)}
    assert found["redis.url"] == "(hidden)"
    assert found["postgres.url"] == ""


def test_a_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADCTL_BIDER_PORT", "1")
    monkeypatch.setenv("ADCTL_CONFIG", "x")
    monkeypatch.setenv("ADCTL_STATE_DIR", "x")
    assert unknown_variables() == ["ADCTL_BIDER_PORT"]


@pytest.mark.parametrize(
    "exchange",
    [
        {"price_encoding": "encrypted"},
        {"price_encoding": "encrypted", "price_keys": "short:keys"},
        {"price_keys": "A" * 43},
    ],
)
def test_encrypted_prices_need_two_whole_keys(exchange: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="price_keys") as refused:
        load_settings(overrides={"exchanges": {"default": exchange}})
    assert "short" not in str(refused.value)


def test_price_keys_are_read_in_either_base64() -> None:
    one, other = bytes([251] * 32), bytes(32)
    keys = f"{b64encode(one).decode()}:{urlsafe_b64encode(other).decode()}"
    assert parse_price_keys(keys) == (one, other)


def test_exchange_is_asked_for_the_notice_that_bills(
    faults_in: Callable[[str], dict[str, str]],
) -> None:
    faults = faults_in(
        """
        [exchanges.a]
        billing_event = "burl"
        billing_notice = false
        win_notice = false
        gdpr_policy = "never"
        [exchanges.b]
        billing_event = "nurl"
        win_notice = false
        loss_notice = "perhaps"
        """
    )
    assert set(faults) == {
        "exchanges.a.billing_notice",
        "exchanges.a.gdpr_policy",
        "exchanges.b.win_notice",
        "exchanges.b.loss_notice",
    }
    assert "true, as billing_event is burl" in faults["exchanges.a.billing_notice"]
    assert "true or false" in faults["exchanges.b.loss_notice"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "x" * 65])
def test_exchange_has_a_name_that_fits_into_its_path(
    faults_in: Callable[[str], dict[str, str]], name: str
) -> None:
    faults = faults_in(f'[exchanges."{name}"]')
    assert "letters, digits" in faults["exchanges"]


def test_a_topics_settings_leave_those_of_the_others(tmp_path: Path) -> None:
    file = tmp_path / "adctl.toml"
    file.write_text("[kafka.topics.bids]\nretention_hours = 24")
    topics = load_settings(file).kafka.topics
    assert topics["bids"].retention_hours == 24
    assert topics["wins"].retention_hours == 168


def test_topics_come_as_json_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADCTL_KAFKA_TOPICS", '{"clicks": {"partitions": 9}}')
    topics = load_settings().kafka.topics
    assert (topics["clicks"].partitions, topics["wins"].partitions) == (9, 0)


def test_a_topic_that_does_not_exist_is_a_fault(faults_in: Callable[[str], dict[str, str]]) -> None:
    faults = faults_in("[kafka.topics.click]\npartitions = 9")
    assert "bids, wins, impressions" in faults["kafka.topics"]


def test_a_retention_of_the_compacted_topic_is_a_fault(
    faults_in: Callable[[str], dict[str, str]],
) -> None:
    faults = faults_in("[kafka.topics.campaigns]\nretention_hours = 9")
    assert "it is compacted" in faults["kafka.topics"]


@pytest.mark.parametrize("text", ["0", "-1", "0.0000001", "1e3", "1_0", "x", " 1", "1000000.01"])
def test_a_ceiling_is_a_price_above_0(
    faults_in: Callable[[str], dict[str, str]], text: str
) -> None:
    assert "a price above 0" in faults_in(f'[bidder]\nmax_cpm = "{text}"')["bidder.max_cpm"]


@pytest.mark.parametrize(("text", "micros"), [("20.00", 20_000_000), ("", MAX_CPM_MICROS)])
def test_an_empty_ceiling_is_none(monkeypatch: pytest.MonkeyPatch, text: str, micros: int) -> None:
    monkeypatch.setenv("ADCTL_BIDDER_MAX_CPM", text)
    assert max_cpm_micros(load_settings().bidder.max_cpm) == micros
