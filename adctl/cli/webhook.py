"""``adctl webhook``: who is told of campaign changes and alarms, and what has become of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import psycopg
import typer

from adctl.cli.changing import ActorOption
from adctl.cli.render import (
    DryRunOption,
    Output,
    OutputOption,
    YesOption,
    confirm,
    render_record,
    render_rows,
    say,
)
from adctl.cli.stores import postgres_session
from adctl.control import webhooks
from adctl.control.lookup import find_advertiser
from adctl.control.webhooks import Delivery, Webhook
from adctl.stores.tables import psycopg_of

app = typer.Typer(no_args_is_help=True)

WebhookArgument = Annotated[int, typer.Argument(help="The webhook's id.", show_default=False)]

_COLUMNS = ("id", "url", "events", "advertiser_id", "status", "pending", "delivered", "failed")


class State(StrEnum):
    """What has become of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@app.command()
def create(
    ctx: typer.Context,
    actor: ActorOption,
    url: Annotated[str, typer.Option(help="Where to post: https, or http on this machine.")],
    event: Annotated[
        list[str] | None,
        typer.Option(help="Only events of this type. May be repeated. Default: all."),
    ] = None,
    advertiser: Annotated[
        str | None, typer.Option(help="Only events of this advertiser: its id or its name.")
    ] = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Tell a URL of events from now on, and print the secret that signs them: it is shown once.

    docs/webhooks.md says what is sent, and how a receiver checks it.

    Example: adctl webhook create --url https://ops.example/hook --event budget.daily
    """
    with postgres_session(ctx) as session:
        owner = None if advertiser is None else find_advertiser(session, advertiser).id
        conn = psycopg_of(session)
        made, secret = webhooks.create(conn, actor, url, event or [], owner)
        if not dry_run:
            session.commit()
    if dry_run:
        say("nothing was created")
        return
    say("keep the secret: it is not shown again")
    render_record(made._asdict() | {"secret": secret}, output)


@app.command("list")
def list_webhooks(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show all webhooks, with how many deliveries each has in which state.

    Example: adctl webhook list --output json
    """
    with _connection(ctx) as conn:
        found = webhooks.list_all(conn)
    render_rows([_row(webhook) for webhook in found], output, _COLUMNS)


@app.command()
def show(ctx: typer.Context, webhook: WebhookArgument, output: OutputOption = Output.TABLE) -> None:
    """Show one webhook, and why it is paused if it is.

    Example: adctl webhook show 1
    """
    with _connection(ctx) as conn:
        render_record(_row(webhooks.show(conn, webhook)), output)


@app.command()
def pause(
    ctx: typer.Context,
    webhook: WebhookArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send nothing more for now; what happens meanwhile waits.

    Example: adctl webhook pause 1
    """
    with _connection(ctx, commit=not dry_run) as conn:
        render_record(_row(webhooks.pause(conn, actor, webhook)), output)


@app.command()
def resume(
    ctx: typer.Context,
    webhook: WebhookArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send again, and first what has waited.

    Example: adctl webhook resume 1
    """
    with _connection(ctx, commit=not dry_run) as conn:
        render_record(_row(webhooks.resume(conn, actor, webhook)), output)


@app.command()
def delete(
    ctx: typer.Context,
    webhook: WebhookArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Forget a webhook with its deliveries, those that wait included.

    Example: adctl webhook delete 1 --yes
    """
    if not dry_run:
        confirm(f"delete webhook {webhook} with all its deliveries?", yes=yes)
    with _connection(ctx, commit=not dry_run) as conn:
        gone = webhooks.delete(conn, actor, webhook)
    say("nothing was deleted" if dry_run else f"webhook {webhook} is deleted")
    render_record(_row(gone), output)


@app.command("test")
def send_test(
    ctx: typer.Context, webhook: WebhookArgument, output: OutputOption = Output.TABLE
) -> None:
    """Have a test event sent to a webhook, by the consumer, within a second or so.

    Example: adctl webhook test 1
    """
    with _connection(ctx, commit=True) as conn:
        delivery = webhooks.send_test(conn, webhook)
    say(f"`adctl webhook deliveries {webhook}` shows what became of it")
    render_record({"webhook_id": webhook, "delivery_id": delivery}, output)


@app.command()
def deliveries(
    ctx: typer.Context,
    webhook: Annotated[
        int | None, typer.Argument(help="The webhook's id. Default: all.", show_default=False)
    ] = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest.", min=1)] = 100,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what webhooks were told, or are to be told, newest first.

    Example: adctl webhook deliveries 1 --state failed
    """
    with _connection(ctx) as conn:
        found = webhooks.deliveries(conn, webhook, state, limit)
    render_rows([delivery._asdict() for delivery in found], output, Delivery._fields)


@app.command()
def retry(
    ctx: typer.Context,
    webhook: WebhookArgument,
    delivery: Annotated[
        list[int] | None, typer.Argument(help="Ids of failed deliveries. Default: all of them.")
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send again what has failed, with the ids it had.

    Example: adctl webhook retry 1 --dry-run
    """
    if not dry_run:
        confirm(f"send failed deliveries of webhook {webhook} again?", yes=yes)
    with _connection(ctx, commit=not dry_run) as conn:
        again = webhooks.retry(conn, webhook, delivery or [])
    say(f"{len(again)} deliveries " + ("would be sent again" if dry_run else "are sent again"))
    render_rows([{"delivery_id": number} for number in again], output, ("delivery_id",))


@contextmanager
def _connection(ctx: typer.Context, *, commit: bool = False) -> Iterator[psycopg.Connection]:
    with postgres_session(ctx) as session:
        yield psycopg_of(session)
        if commit:
            session.commit()


def _row(webhook: Webhook) -> dict[str, object]:
    return webhook._asdict() | {"events": ", ".join(webhook.events) or "all"}
