"""Signatures as Standard Webhooks has them: docs/webhooks.md says how a receiver checks one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

_PREFIX = "whsec_"
_BYTES = 32


def make_secret() -> str:
    """Return a new secret, as both sides keep it."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def signed_headers(secret: str, event_id: str, at_sec: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message sent at ``at_sec``, Unix time."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{event_id}.{at_sec}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(at_sec),
        "webhook-signature": f"v1,{signature}",
    }
