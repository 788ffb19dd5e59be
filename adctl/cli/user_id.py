"""How commands are told of which user they are."""

from adctl.config import Settings
from adctl.delivery.tokens import hash_user
from adctl.delivery.user_ids import earlier_forms, read_user_id
from adctl.errors import Fault, FaultyInputError
from adctl.stores.secrets import load_signing

USER_HELP = (
    "The user's id as the exchange sends it: buyeruid, id or ifa; or one of user.eids, "
    "as its source's domain, a colon, and the id."
)


def user_hashes(settings: Settings, told: str) -> list[str]:
    """Return the hash that a user is known by, and behind it those of before ids had one form.

    Raises FaultyInputError for a text that says that there is no id.
    """
    known = read_user_id(told)
    if not known:
        expected = "an id; this says that there is none, and stands for everybody who has none"
        raise FaultyInputError("user", [Fault("USER", told[:40], expected)])
    user_key = load_signing(settings).user_key
    return [hash_user(user_key, text) for text in (known, *earlier_forms(known, told))]
