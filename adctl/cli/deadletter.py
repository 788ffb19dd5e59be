"""``adctl deadletter``: messages consumers could make nothing of."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from adctl.cli.context import settings_of
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
from adctl.cli.stores import postgres_pool
from adctl.control.dead_letters import Graveyard, put_back
from adctl.control.groups import find_group
from adctl.stores.endpoints import resolve_kafka
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from adctl.streams.reader import TopicReader

app = typer.Typer(no_args_is_help=True)

GroupOption = Annotated[
    str | None, typer.Option(help="Only what this consumer group could make nothing of.")
]

_COLUMNS = ("origin", "buried_at", "consumer_group", "reason", "detail", "size_bytes", "state")


@app.command(name="list")
def list_letters(
    ctx: typer.Context, group: GroupOption = None, output: OutputOption = Output.TABLE
) -> None:
    """Show every dead letter once: its origin, why it is dead, and whether it was put back since.

    A message that several groups could make nothing of is a dead letter of each.

    Example: adctl deadletter list --output json
    """
    with _graveyard(ctx, group) as graveyard:
        render_rows([burial.row() for burial in graveyard.burials(group)], output, _COLUMNS)


@app.command()
def show(
    ctx: typer.Context,
    origin: Annotated[str, typer.Argument(help="TOPIC/PARTITION/OFFSET, as `list` shows it.")],
    group: GroupOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one dead letter with its key, headers and value.

    Example: adctl deadletter show impressions/2/1507
    """
    with _graveyard(ctx, group) as graveyard:
        render_record(graveyard.find(origin, group).fields(), output)


@app.command()
def retry(
    ctx: typer.Context,
    origins: Annotated[
        list[str] | None, typer.Argument(help="TOPIC/PARTITION/OFFSET each. Default: all of them.")
    ] = None,
    group: GroupOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Put dead letters back on the topics they came from. Each counts once, however often.

    Only the group that buried a message reads it again; the others have counted it. Those that have
    counted since are left out, and of all of them those whose end was cut off.
    Readers outside adctl see a message again; its header retried_from says where it came from.

    Example: adctl deadletter retry impressions/2/1507 --dry-run
    """
    with _graveyard(ctx, group) as graveyard:
        chosen = graveyard.choose(origins or [], group)
    if dry_run or not chosen:
        render_rows([burial.row() for burial in chosen], output, _COLUMNS)
        return
    confirm(f"put {len(chosen)} messages back?", yes=yes)
    settings = settings_of(ctx)
    producer = ReliableProducer(resolve_kafka(settings), settings.kafka.topic_prefix)
    try:
        put_back(producer, chosen)
    finally:
        producer.close()
    say(f"{len(chosen)} messages put back")
    render_rows([burial.row() for burial in chosen], output, _COLUMNS)


@contextmanager
def _graveyard(ctx: typer.Context, group: str | None) -> Iterator[Graveyard]:
    if group is not None:
        find_group(group)
    settings = settings_of(ctx)
    bootstrap = resolve_kafka(settings)
    cluster_id = KafkaAdmin(bootstrap, settings.kafka).cluster_id()
    with (
        postgres_pool(ctx) as pool,
        TopicReader(bootstrap, [topics.DEAD_LETTERS], settings.kafka.topic_prefix) as reader,
    ):
        yield Graveyard(pool, cluster_id, reader.batches())
