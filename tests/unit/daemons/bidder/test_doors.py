from daemons.bidder.doors import RateLimit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def admitted(limit: RateLimit, times: int) -> int:
    return sum(limit.admits() for _ in range(times))


def test_no_more_pass_at_once_than_a_second_holds() -> None:
    assert admitted(RateLimit(5, Clock()), 20) == 5


def test_rate_is_kept_over_time() -> None:
    clock = Clock()
    limit = RateLimit(10, clock)
    passed = 0
    for _ in range(200):
        clock.now += 0.05
        passed += admitted(limit, 3)
    assert 100 <= passed <= 111


def test_time_without_requests_saves_up_one_second() -> None:
    clock = Clock()
    limit = RateLimit(5, clock)
    assert admitted(limit, 9) == 5
    clock.now += 3600
    assert admitted(limit, 9) == 5


def test_less_than_one_a_second_lets_one_pass_now_and_then() -> None:
    clock = Clock()
    limit = RateLimit(0.5, clock)
    assert admitted(limit, 3) == 1
    clock.now += 1
    assert admitted(limit, 3) == 0
    clock.now += 1
    assert admitted(limit, 3) == 1
