"""``adctl budget``: campaigns' money, live and in the ledger."""

from typing import Annotated

import typer

from adctl.cli.render import Output, OutputOption, render_record, render_rows, warn
from adctl.cli.stores import postgres_pool, postgres_session, redis_client
from adctl.control.budget_report import CampaignBudget, read_budgets
from adctl.control.lookup import find_campaign
from adctl.control.proving import Prover
from adctl.errors import DisprovedError
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


@app.command()
def prove(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Prove that all money adds up, on the running system, and say how much can be overspent.

    Compares Redis with the ledger while bids and events go on. Exits with 1, naming every
    campaign, if something does not hold. at_most is the bound: how far beyond their budgets all
    campaigns together could come, if every bid that has expired were billed after all.

    Example: adctl budget prove --output json
    """
    with postgres_pool(ctx) as pool, redis_client(ctx) as client:
        proof = Prover(pool, client).prove()
    breaches = [breach.fields() for breach in proof.breaches]
    bound = {"campaigns": proof.campaigns, **proof.bound.fields()}
    if output is Output.JSON:
        everything = {"invariants": proof.rows(), "breaches": breaches, "bound": bound}
        render_record(everything, output)
    else:
        render_rows(proof.rows(), output)
        if output is Output.TABLE:
            render_record(bound)
        for breach in breaches:
            warn(" ".join(f"{name}={value}" for name, value in breach.items()))
    if breaches:
        raise DisprovedError(f"{len(breaches)} things do not add up")


def _read(ctx: typer.Context, campaign: str | None) -> list[CampaignBudget]:
    with postgres_session(ctx) as session, redis_client(ctx) as client:
        campaign_id = None if campaign is None else find_campaign(session, campaign).id
        return read_budgets(
            psycopg_of(session), Budgets(client), SteeringStore(client), campaign_id
        )
