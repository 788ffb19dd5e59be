"""``adctl flush``: the event stream on its way to PostgreSQL and Kafka."""

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, render_record
from adctl.cli.stores import postgres_pool, redis_client
from adctl.control.flushing import FlushedBatch, Flusher, together
from adctl.control.relaying import Relay
from adctl.stores.endpoints import resolve_kafka
from adctl.stores.stream import event_streams
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer

app = typer.Typer(no_args_is_help=True)


@app.command()
def status(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show how many events wait in the stream, the oldest one's age, and every reader's position.

    Example: adctl flush status --output json
    """
    shards = settings_of(ctx).redis.shards
    with postgres_pool(ctx) as pool, redis_client(ctx) as client:
        flushers = [Flusher(pool, stream) for stream in event_streams(client, shards)]
        render_record(together([flusher.status() for flusher in flushers]).fields(), output)


@app.command()
def now(
    ctx: typer.Context, dry_run: DryRunOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Write everything that waits into PostgreSQL and relay it to Kafka. Safe beside the daemon.

    Example: adctl flush now --dry-run
    """
    if dry_run:
        status(ctx, output)
        return
    render_record(push_all(ctx).fields(), output)


def push_all(ctx: typer.Context) -> FlushedBatch:
    """Bring everything that waits to PostgreSQL and to Kafka, and forget it in the stream."""
    settings = settings_of(ctx)
    bootstrap, batch_size = resolve_kafka(settings), settings.flusher.batch_size
    with postgres_pool(ctx) as pool, redis_client(ctx) as client:
        streams = event_streams(client, settings.redis.shards)
        most = settings.tracker.stream_max_entries
        flushers = [Flusher(pool, stream, most) for stream in streams]
        flushed = sum((flusher.drain(batch_size) for flusher in flushers), FlushedBatch())
        producer = ReliableProducer(bootstrap, settings.kafka.topic_prefix)
        try:
            admin = KafkaAdmin(bootstrap, settings.kafka)
            for stream in streams:
                Relay(pool, stream, producer, admin).drain(batch_size)
        finally:
            producer.close()
        for flusher in flushers:
            flusher.trim()
    return flushed
