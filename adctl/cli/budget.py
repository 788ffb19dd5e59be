"""``adctl budget``: campaigns' money, live and in the ledger."""

from typing import Annotated

import typer

from adctl.cli.render import Output, OutputOption, render_record, render_rows
from adctl.cli.stores import postgres_session, redis_client
from adctl.control.budget_report import CampaignBudget, read_budgets
from adctl.control.lookup import find_campaign
from adctl.stores.budgets import Budgets
from adctl.stores.steering import SteeringStore
from adctl.stores.tables import psycopg_of

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


def _read(ctx: typer.Context, campaign: str | None) -> list[CampaignBudget]:
    with postgres_session(ctx) as session, redis_client(ctx) as client:
        campaign_id = None if campaign is None else find_campaign(session, campaign).id
        return read_budgets(
            psycopg_of(session), Budgets(client), SteeringStore(client), campaign_id
        )
