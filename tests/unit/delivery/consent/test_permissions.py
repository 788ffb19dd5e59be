from adctl.delivery.consent.permissions import UNRESTRICTED, Permissions, combined, refused


def test_nothing_told_permits_everything() -> None:
    assert combined([]) == UNRESTRICTED


def test_what_one_withholds_is_withheld() -> None:
    no_location = Permissions(precise_location=False, reason="place", applies=("us",))
    no_segments = Permissions(segments=False, reason="profile", applies=("gdpr", "us"))
    assert combined([Permissions(applies=("us",)), no_location, no_segments]) == Permissions(
        segments=False, precise_location=False, reason="place", applies=("us", "gdpr")
    )


def test_a_refusal_leaves_nothing_but_the_bid() -> None:
    whole = combined([Permissions(), refused("coppa", "coppa")])
    assert whole == refused("coppa", "coppa")
    assert whole.bid
