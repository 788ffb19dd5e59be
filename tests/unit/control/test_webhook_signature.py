from __future__ import annotations

from adctl.control.webhook_signature import make_secret, signed_headers


def test_a_signature_is_that_of_standard_webhooks() -> None:
    # The example that the libraries of https://www.standardwebhooks.com are tested with.
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_no_two_secrets_are_the_same() -> None:
    assert make_secret() != make_secret()
