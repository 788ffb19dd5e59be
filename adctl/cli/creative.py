"""``adctl creative``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from adctl.cli.changing import (
    ActorOption,
    by_id_or_name,
    option,
    repeated,
    report,
    report_created,
    show_all,
    show_history,
    with_options,
)
from adctl.cli.changing import show as show_view
from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, YesOption, confirm, say
from adctl.control import creatives
from adctl.control import history as audit
from adctl.control.catalog import creative_document
from adctl.control.creative_input import load_markup_file
from adctl.control.media_file import read_media_options
from adctl.control.plane import open_plane
from adctl.control.preview import write_preview
from adctl.models import Status

app = typer.Typer(no_args_is_help=True)

CreativeArgument = Annotated[
    str, typer.Argument(help="Id, or a name that only one has.", show_default=False)
]

CREATIVE_OPTIONS: dict[str, Any] = {
    "name": option("The creative's name; one of its kind per campaign."),
    "size": option("Its size, e.g. 300x250; a video file tells its own."),
    "landing_url": option("Where a click leads, https://…, with macros such as {click_id}."),
    "image_url": option("The banner's image, https://…"),
    "markup": Annotated[
        Path | None,
        typer.Option(
            help="A file with the banner's HTML, instead of an image. {click_url} and {pixel} "
            "in it are filled in.",
            show_default=False,
        ),
    ],
    "video": option(
        "A video ad: a local file, which is read for its length, size and bit rate; a URL; or a "
        "TOML file with several renditions."
    ),
    "audio": option("An audio ad: a local file, a URL, or a TOML file, as for --video."),
    "native": Annotated[
        Path | None,
        typer.Option(help="A TOML file with the assets of a native ad.", show_default=False),
    ],
    "vast_tag": option("A video ad on another server: the https://… of its VAST tag."),
    "media_url": option("Where a local video or audio file is served from, https://…"),
    "mime": option("The media type of a file that does not tell, e.g. video/mp4."),
    "duration": Annotated[
        int | None, typer.Option(help="Seconds a video or audio ad takes.", show_default=False)
    ],
    "bitrate": Annotated[
        int | None, typer.Option(help="Bit rate of a media file, in kbit/s.", show_default=False)
    ],
    "skip_after": Annotated[
        int | None,
        typer.Option(help="Seconds after which a video may be skipped.", show_default=False),
    ],
    "api": Annotated[
        list[int] | None,
        typer.Option(help="OpenRTB API framework it cannot do without. May be repeated."),
    ],
    "expdir": Annotated[
        list[int] | None,
        typer.Option(help="Direction a banner expands in, 1 to 6. May be repeated."),
    ],
    "adomain": repeated("The advertiser's domain. Without it, that of the landing page."),
    "cat": repeated("IAB category of what is advertised, e.g. IAB2."),
    "cattax": Annotated[int | None, typer.Option(help="Taxonomy of the categories. A new one: 1.")],
    "attr": Annotated[
        list[int] | None, typer.Option(help="OpenRTB creative attribute, 1 to 18. May be repeated.")
    ],
    "banner_type": Annotated[
        int | None, typer.Option(help="OpenRTB banner type, 1 to 4. A new one: 2 (XHTML banner).")
    ],
    "language": option("Its language, e.g. en."),
    "app_bundle": option("The app it advertises, as its store names it, e.g. com.acme.app."),
}


@app.command()
@with_options(CREATIVE_OPTIONS)
def create(
    ctx: typer.Context,
    actor: ActorOption,
    campaign: Annotated[
        str, typer.Option(help="Id of the campaign it is for, or its name.", show_default=False)
    ],
    paused: Annotated[bool, typer.Option("--paused", help="Do not serve before resumed.")] = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
    **chosen: Any,
) -> None:
    """Create a creative and print its id: a banner, a video, an audio or a native ad.

    It needs a name and a landing page; a banner an image or markup and its size.

    Example: adctl creative create --campaign Spring --name box --size 300x250 --landing-url https://acme.example --image-url https://cdn.acme.example/box.png
    """  # noqa: E501 - one line, to be copied
    fields = _fields(chosen) | {"status": Status.PAUSED if paused else Status.ACTIVE}
    with open_plane(settings_of(ctx)) as plane:
        outcome = creatives.create(plane, actor, campaign, fields, dry_run=dry_run)
    report_created("creative", outcome, output)


@app.command("list")
def list_(
    ctx: typer.Context,
    campaign: Annotated[
        str | None, typer.Option(help="Only this campaign's, by id or name.")
    ] = None,
    status: Annotated[
        Status | None, typer.Option(help="Only those; archived ones are shown for no other reason.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List creatives.

    Example: adctl creative list --campaign Spring
    """
    with open_plane(settings_of(ctx)) as plane:
        views = creatives.list_all(plane, status=status, campaign=campaign)
    show_all(views, output, ("id", "campaign_id", "name", "status", "kind", "size", "landing_url"))


@app.command()
@by_id_or_name("creative")
def show(
    ctx: typer.Context, creative: CreativeArgument, output: OutputOption = Output.TABLE
) -> None:
    """Show everything about a creative.

    Example: adctl creative show 7
    """
    with open_plane(settings_of(ctx)) as plane:
        view = creatives.show(plane, creative)
    show_view(view, output)


@app.command()
@by_id_or_name("creative", "--id")
@with_options(CREATIVE_OPTIONS)
def update(
    ctx: typer.Context,
    creative: CreativeArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
    **chosen: Any,
) -> None:
    """Change fields of a creative. An image takes the place of markup, and markup of an image.

    Example: adctl creative update 7 --image-url https://cdn.acme.example/box-2.png
    """
    patch = _fields(chosen)
    if ("image_url" in patch) != ("markup" in patch):
        patch = {"image_url": None, "markup": None} | patch
    with open_plane(settings_of(ctx)) as plane:
        outcome = creatives.update(plane, actor, creative, patch, dry_run=dry_run)
    report("creative", "updated", outcome, output)


@app.command()
@by_id_or_name("creative")
def pause(
    ctx: typer.Context,
    creative: CreativeArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Keep a creative from being served until it is resumed.

    Example: adctl creative pause 7
    """
    with open_plane(settings_of(ctx)) as plane:
        outcome = creatives.pause(plane, actor, creative, dry_run=dry_run)
    report("creative", "paused", outcome, output)


@app.command()
@by_id_or_name("creative")
def resume(
    ctx: typer.Context,
    creative: CreativeArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a paused creative be served again.

    Example: adctl creative resume 7
    """
    with open_plane(settings_of(ctx)) as plane:
        outcome = creatives.resume(plane, actor, creative, dry_run=dry_run)
    report("creative", "resumed", outcome, output)


@app.command()
@by_id_or_name("creative")
def archive(
    ctx: typer.Context,
    creative: CreativeArgument,
    actor: ActorOption,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take a creative out for good. Clicks on it still land.

    Example: adctl creative archive 7 --yes
    """
    with open_plane(settings_of(ctx)) as plane:
        view = creatives.show(plane, creative)
        confirm(f"Archive creative {view.id} ({view.name}) for good?", yes=yes or dry_run)
        outcome = creatives.archive(plane, actor, view.id, dry_run=dry_run)
    report("creative", "archived", outcome, output)


@app.command()
@by_id_or_name("creative")
def preview(
    ctx: typer.Context,
    creative: CreativeArgument,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write. [default: creative-ID.html]", show_default=False),
    ] = None,
) -> None:
    """Write a page that shows the creative in a browser, with what is sent for it below.

    Example: adctl creative preview 7 --out spot.html
    """
    with open_plane(settings_of(ctx)) as plane:
        document = creative_document(plane, creatives.show(plane, creative).id)
    path = write_preview(document, out)
    say(f"creative {document.id} ({document.name}) is shown in {path}")


@app.command()
@by_id_or_name("creative")
def history(
    ctx: typer.Context, creative: CreativeArgument, output: OutputOption = Output.TABLE
) -> None:
    """Show who changed what when.

    Example: adctl creative history 7
    """
    with open_plane(settings_of(ctx)) as plane:
        entries = audit.history(plane, "creative", creative)
    show_history(entries, output)


def _fields(chosen: dict[str, Any]) -> dict[str, object]:
    markup = chosen.pop("markup", None)
    fields = read_media_options(chosen, Path.cwd())
    return fields | ({"markup": load_markup_file(markup)} if markup else {})
