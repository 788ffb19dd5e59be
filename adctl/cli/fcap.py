"""``adctl fcap``: what one user has been shown, and what is still allowed."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import Output, OutputOption, render_rows, warn
from adctl.cli.stores import postgres_session, redis_client
from adctl.cli.user_id import USER_HELP, user_hashes
from adctl.control.lookup import find_campaign
from adctl.control.user_caps import read_user_caps
from adctl.stores.tables import psycopg_of

app = typer.Typer(no_args_is_help=True)

_COLUMNS = (
    "campaign_id",
    "campaign",
    "limit",
    "window_sec",
    "impressions",
    "in_flight",
    "capped",
    "frees_at",
)


@app.callback()
def fcap() -> None:
    """Look into frequency caps."""


@app.command()
def show(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(help=USER_HELP)],
    campaign: Annotated[str | None, typer.Option(help="Only this campaign, by id or name.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how far one user's caps are used up, and when the next ad is allowed.

    Users are stored only as a keyed hash; the id is hashed here and shown nowhere. in_flight are
    bids that have not become an impression yet, and count against the cap meanwhile.

    Example: adctl fcap show 7f3c-user-id --campaign Spring
    """
    settings = settings_of(ctx)
    user_hash, *_ = user_hashes(settings, user)
    with postgres_session(ctx) as session, redis_client(ctx) as client:
        only = [find_campaign(session, campaign).id] if campaign else []
        hold_sec, now = settings.fcap.hold_sec, datetime.now(UTC)
        caps = read_user_caps(
            *(psycopg_of(session), client, user_hash, hold_sec, now, only),
            shards=settings.redis.shards,
        )
    if not caps:
        warn("no capped campaign has bid for this user within its windows")
    render_rows([cap.fields() for cap in caps], output, _COLUMNS)
