"""The desk, for every test of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.money.desk import Desk

if TYPE_CHECKING:
    import redis


@pytest.fixture
def desk(redis_client: redis.Redis) -> Desk:
    return Desk(redis_client)
