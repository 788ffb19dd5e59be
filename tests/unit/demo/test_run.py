from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.demo.run import demo_environment

if TYPE_CHECKING:
    from pathlib import Path


def test_a_demo_knows_nothing_of_the_configuration_around_it(tmp_path: Path) -> None:
    outer = {
        "PATH": "/bin",
        "ADCTL_POSTGRES_URL": "postgresql://production",
        "ADCTL_CONFIG": "/etc/adctl.toml",
        "ADCTL_STATE_DIR": "/var/lib/adctl",
        "ADCTL_BIDDER_PORT": "8080",
    }
    environment = demo_environment(outer, tmp_path)
    assert environment == {
        "PATH": "/bin",
        "ADCTL_STATE_DIR": str(tmp_path),
        "ADCTL_BIDDER_PORT": "0",
        "ADCTL_TRACKER_PORT": "0",
        "ADCTL_API_PORT": "0",
        "ADCTL_FLUSHER_PORT": "0",
        "ADCTL_CONSUMER_PORT": "0",
        "ADCTL_PACER_PORT": "0",
    }
