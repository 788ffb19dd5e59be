"""``adctl consumer``: how far consumer groups have read, and reading again."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import (
    DryRunOption,
    Output,
    OutputOption,
    YesOption,
    confirm,
    render_rows,
    say,
)
from adctl.cli.stores import postgres_pool
from adctl.control.consumer_status import GroupStatus, PartitionStatus
from adctl.control.groups import GROUPS, find_group, require_rewindable
from adctl.control.periods import parse_hour
from adctl.control.rebuilding import RollupRebuilder
from adctl.control.rewinding import AnalyticsRewind, RewoundPartition
from adctl.stores.endpoints import resolve_kafka
from adctl.stores.stream import stream_keys
from adctl.streams.admin import KafkaAdmin
from adctl.streams.places import PartitionPlaces

app = typer.Typer(no_args_is_help=True)


@app.command()
def status(
    ctx: typer.Context,
    group: Annotated[str | None, typer.Option(help="Only this consumer group.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how far each group has read each partition, and how old the oldest unread message is.

    Example: adctl consumer status --output json
    """
    groups = [find_group(group)] if group else list(GROUPS.values())
    settings = settings_of(ctx)
    bootstrap = resolve_kafka(settings)
    cluster_id = KafkaAdmin(bootstrap, settings.kafka).cluster_id()
    with (
        postgres_pool(ctx) as pool,
        PartitionPlaces(bootstrap, settings.kafka.topic_prefix) as places,
    ):
        found = GroupStatus(pool, places, cluster_id).read(groups, datetime.now(UTC))
    render_rows([partition.fields() for partition in found], output, PartitionStatus._fields)


@app.command()
def rewind(
    ctx: typer.Context,
    to: Annotated[
        str, typer.Option(help="Since when: 24h, 7d, or a date as 2026-11-01 or with T15:00 (UTC).")
    ],
    group: Annotated[str, typer.Argument(help="The consumer group.")] = "analytics",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Count everything since a moment again, beside running daemons. Nothing counts twice.

    The moment is taken back to the hour. Bids and requests since then are taken out of the reports
    and read again from Kafka, which must still have them all; deliveries and spend are rebuilt from
    the event table at once. Reports are short of bids until `adctl consumer status` shows no lag.
    Only analytics can do so; what billing builds, `adctl rebuild statements` makes anew.

    Example: adctl consumer rewind analytics --to 2026-11-01T15:00 --dry-run
    """
    require_rewindable(find_group(group))
    since = parse_hour("--to", to, datetime.now(UTC))
    if not dry_run:
        confirm(f"count everything since {since.isoformat()} again?", yes=yes)
    settings = settings_of(ctx)
    bootstrap = resolve_kafka(settings)
    cluster_id = KafkaAdmin(bootstrap, settings.kafka).cluster_id()
    with (
        postgres_pool(ctx) as pool,
        PartitionPlaces(bootstrap, settings.kafka.topic_prefix) as places,
    ):
        rebuilder = RollupRebuilder(pool, *stream_keys(settings.redis.shards))
        rewound = AnalyticsRewind(rebuilder, places, cluster_id).rewind(since, dry_run=dry_run)
    say("nothing was changed" if dry_run else "the group reads again")
    render_rows([partition.fields() for partition in rewound], output, RewoundPartition._fields)
