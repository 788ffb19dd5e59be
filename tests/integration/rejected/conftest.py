"""Who puts rejected events back, and who proves the money, for every test of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adctl.control.proving import Prover
from adctl.control.rejected import RejectedDesk

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.models import Event

    MakeEvent = Callable[..., Event]
    Pool = ConnectionPool[psycopg.Connection]


@pytest.fixture
def desk(pool: Pool, redis_client: redis.Redis) -> RejectedDesk:
    return RejectedDesk(pool, redis_client, 1)


@pytest.fixture
def prover(pool: Pool, redis_client: redis.Redis) -> Prover:
    return Prover(pool, redis_client)
