"""``adctl user``: what is kept of one user."""

import re
from typing import Annotated

import typer

from adctl.cli.changing import ActorOption
from adctl.cli.context import settings_of
from adctl.cli.flush import push_all
from adctl.cli.render import (
    DryRunOption,
    Output,
    OutputOption,
    YesOption,
    confirm,
    render_record,
    say,
)
from adctl.cli.stores import postgres_pool, redis_client
from adctl.cli.user_id import USER_HELP, user_hashes
from adctl.control.erasing import Forgetting
from adctl.errors import Fault, FaultyInputError
from adctl.stores.stream import event_streams

_HASH = re.compile(r"[0-9a-f]{32}")

app = typer.Typer(no_args_is_help=True)


@app.callback()
def user() -> None:
    """Look after what is kept of users."""


@app.command()
def forget(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(help=USER_HELP)],
    actor: ActorOption,
    hashed: Annotated[
        bool, typer.Option("--hash", help="It is the keyed hash that the stores hold.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Forget one user in PostgreSQL, Redis, spools and journals, and show the receipt.

    Events stay, and what they cost, but not whose they were; frequency caps begin anew. What comes
    later of bids made until today is stored without the user. Kafka never knew of users.

    Example: adctl user forget 7f3c-user-id --dry-run
    """
    settings = settings_of(ctx)
    hashes = _checked(user) if hashed else user_hashes(settings, user)
    with postgres_pool(ctx) as pool, redis_client(ctx) as client:
        streams = event_streams(client, settings.redis.shards)
        forgetting = Forgetting(pool, client, streams, settings.state_dir, lambda: push_all(ctx))
        if dry_run:
            render_record(forgetting.look(hashes).fields(), output)
            return
        confirm("forget this user for good?", yes=yes)
        receipt = forgetting.forget(hashes, actor)
    if receipt.waiting:
        say(
            "Kafka or PostgreSQL has not confirmed everything: the event stream, or a tracker's "
            "journal, still names the user until then"
        )
    render_record(receipt.fields(), output)


def _checked(user_hash: str) -> list[str]:
    if not _HASH.fullmatch(user_hash):
        expected = "32 hexadecimal digits, as the stores hold it"
        raise FaultyInputError("user", [Fault("USER", user_hash[:40], expected)])
    return [user_hash]
