from adctl.delivery import reasons


def words() -> set[str]:
    texts = {word for name, word in vars(reasons).items() if name.isupper() and type(word) is str}
    return texts - {reasons.WON}


def test_every_reason_has_a_number_an_exchange_can_be_told() -> None:
    assert reasons.NBR.keys() == words()


def test_numbers_are_openrtbs_or_in_the_range_left_to_us() -> None:
    assert all(0 <= number <= 17 or number >= 500 for number in reasons.NBR.values())
