"""``adctl flush``: the event stream on its way to PostgreSQL and Kafka."""

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, render_record
from adctl.cli.stores import postgres_pool, redis_client
from adctl.control.flushing import Flusher
from adctl.control.relaying import Relay
from adctl.stores.endpoints import resolve_kafka
from adctl.stores.stream import EventStream
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer

app = typer.Typer(no_args_is_help=True)


@app.command()
def status(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show how many events wait in the stream, the oldest one's age, and every reader's position.

    Example: adctl flush status --output json
    """
    with postgres_pool(ctx) as pool, redis_client(ctx) as client:
        render_record(Flusher(pool, EventStream(client)).status().fields(), output)


@app.command()
def now(
    ctx: typer.Context, dry_run: DryRunOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Write everything that waits into PostgreSQL and relay it to Kafka. Safe beside the daemon.

    Example: adctl flush now --dry-run
    """
    settings = settings_of(ctx)
    with postgres_pool(ctx) as pool, redis_client(ctx) as client:
        stream = EventStream(client)
        flusher = Flusher(pool, stream)
        if dry_run:
            render_record(flusher.status().fields(), output)
            return
        batch_size = settings.flusher.batch_size
        render_record(flusher.drain(batch_size).fields(), output)
        bootstrap = resolve_kafka(settings)
        producer = ReliableProducer(bootstrap, settings.kafka.topic_prefix)
        try:
            Relay(pool, stream, producer, KafkaAdmin(bootstrap, settings.kafka)).drain(batch_size)
        finally:
            producer.close()
        flusher.trim()
