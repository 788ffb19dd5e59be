"""``adctl topic``: the Kafka topics, as they are and as the configuration wants them."""

from typing import Annotated

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, render_record, render_rows, warn
from adctl.control.topic_plan import TopicPlan
from adctl.stores.endpoints import resolve_kafka
from adctl.streams.admin import KafkaAdmin

app = typer.Typer(no_args_is_help=True)

_COLUMNS = ("topic", "state", "partitions", "retention_hours", "retention_mb", "key", "differs")


@app.command(name="list")
def list_topics(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show every topic: whether it exists, what it is set to, and where that is not as configured.

    Example: adctl topic list --output json
    """
    render_rows([topic.fields() for topic in _plan(ctx).topics()], output, _COLUMNS)


@app.command()
def describe(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The topic, without kafka.topic_prefix.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one topic: what it carries, its key and schema, its settings, and where they differ.

    Example: adctl topic describe impressions
    """
    render_record(_plan(ctx).topic(name).fields(), output)


@app.command()
def create(
    ctx: typer.Context, dry_run: DryRunOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Create the topics that are missing, as the configuration says. Those that exist stay as is.

    Where one differs from the configuration, it is said; nothing is changed about it.

    Example: adctl topic create --dry-run
    """
    plan = _plan(ctx)
    created = plan.missing() if dry_run else plan.create()
    topics = plan.topics()
    for topic in topics:
        if topic.differs:
            warn(f"{topic.topic} differs from the configuration: {', '.join(topic.differs)}")
    state = "would be created" if dry_run else "created"
    rows = [
        {"topic": topic.topic, "done": state if topic.topic in created else "existed"}
        for topic in topics
    ]
    render_rows(rows, output, ("topic", "done"))


def _plan(ctx: typer.Context) -> TopicPlan:
    settings = settings_of(ctx)
    return TopicPlan(KafkaAdmin(resolve_kafka(settings), settings.kafka))
