"""``adctl budget``: campaigns' money, live and in the ledger."""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

import typer

from adctl.cli.changing import ActorOption
from adctl.cli.context import settings_of
from adctl.cli.render import (
    Output,
    OutputOption,
    YesOption,
    confirm,
    progress,
    render_record,
    render_rows,
    say,
    warn,
)
from adctl.cli.stores import postgres_pool, postgres_session, redis_client
from adctl.control.budget_report import CampaignBudget, read_budgets
from adctl.control.lookup import find_campaign
from adctl.control.proving import Prover
from adctl.control.reconciling import Difference, Reconciler
from adctl.errors import DisprovedError
from adctl.stores.endpoints import resolve_kafka
from adctl.stores.sharded_budgets import open_budgets
from adctl.stores.steering import SteeringStore
from adctl.stores.tables import psycopg_of
from adctl.streams import topics
from adctl.streams.consumer import IncomingMessage
from adctl.streams.reader import TopicReader

app = typer.Typer(no_args_is_help=True)

_COLUMNS = (
    "campaign_id",
    "campaign",
    "status",
    "budget",
    "spent",
    "reserved",
    "available",
    "day_budget",
    "day_spent",
    "late",
    "not_flushed",
    "pacing",
    "adds_up",
)


@app.command("list")
def list_budgets(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show the money of every campaign that is not archived.

    What is spent, reserved and available adds up to the budget, of the flight and of the day;
    not_flushed is spend that is on its way to the ledger.

    Example: adctl budget list --output csv
    """
    render_rows([budget.fields() for budget in _read(ctx, None)], output, _COLUMNS)


@app.command()
def show(
    ctx: typer.Context,
    campaign: Annotated[str, typer.Argument(help="Id, or a name only one campaign has.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one campaign's money in full. Exits with 5 if there is no such campaign.

    Example: adctl budget show 1 --output json
    """
    (budget,) = _read(ctx, campaign)
    render_record(budget.fields(), output)


@app.command()
def prove(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Prove that all money adds up, on the running system, and say how much can be overspent.

    Compares Redis with the ledger while bids and events go on. Exits with 1, naming every
    campaign, if something does not hold. at_most is the bound: how far beyond their budgets all
    campaigns together could come, if every bid that has expired were billed after all.

    Example: adctl budget prove --output json
    """
    with postgres_pool(ctx) as pool, redis_client(ctx) as client:
        proof = Prover(pool, client, settings_of(ctx).redis.shards).prove()
    breaches = [breach.fields() for breach in proof.breaches]
    bound = {"campaigns": proof.campaigns, **proof.bound.fields()}
    if output is Output.JSON:
        everything = {"invariants": proof.rows(), "breaches": breaches, "bound": bound}
        render_record(everything, output)
    else:
        render_rows(proof.rows(), output, ("invariant", "says", "holds", "broken"))
        if output is Output.TABLE:
            render_record(bound)
        for breach in breaches:
            warn(" ".join(f"{name}={value}" for name, value in breach.items()))
    if breaches:
        raise DisprovedError(f"{len(breaches)} things do not add up")


@app.command()
def reconcile(
    ctx: typer.Context,
    actor: ActorOption,
    repair: Annotated[
        bool,
        typer.Option("--repair/--dry-run", help="Mend what can be mended, or only say what it is."),
    ] = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Hold Redis, PostgreSQL and Kafka against each other, campaign by campaign.

    Every difference is shown with its cause and what would mend it. Events that only Kafka has are
    stored and booked; money that differs in Redis is made anew from ledger, stream and
    reservations; every repair is in the campaign's history. Exits with 1 if differences remain.

    Example: adctl budget reconcile --repair
    """
    if repair:
        confirm("mend every difference?", yes=yes)
    settings = settings_of(ctx)
    with (
        postgres_pool(ctx) as pool,
        redis_client(ctx) as client,
        TopicReader(
            resolve_kafka(settings), topics.OF_EVENT.values(), settings.kafka.topic_prefix
        ) as reader,
        progress("reading Kafka", reader.total) as advance,
    ):
        reconciler = Reconciler(pool, client, settings.redis.shards)
        batches = _told(reader.batches(), advance)
        found = reconciler.repair(batches, actor) if repair else reconciler.compare(batches)
        remaining = len(reconciler.compare(())) if repair else len(found)
    if found:
        rows = [difference.fields() for difference in found]
        render_rows(rows, output, Difference._fields)
    elif output is not Output.TABLE:
        render_rows([], output, Difference._fields)
    else:
        say("the three stores agree")
    if remaining:
        raise DisprovedError(f"{remaining} differences" + (" remain" if repair else ""))


def _told(
    batches: Iterable[list[IncomingMessage]], advance: Callable[[int], None]
) -> Iterator[list[IncomingMessage]]:
    for batch in batches:
        yield batch
        advance(len(batch))


def _read(ctx: typer.Context, campaign: str | None) -> list[CampaignBudget]:
    with postgres_session(ctx) as session, redis_client(ctx) as client:
        campaign_id = None if campaign is None else find_campaign(session, campaign).id
        shards = settings_of(ctx).redis.shards
        budgets, steering = open_budgets(client, shards), SteeringStore(client, shards)
        return read_budgets(psycopg_of(session), budgets, steering, campaign_id)
