"""What the commands that change advertisers, campaigns and creatives have in common."""

import getpass
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from adctl.cli.render import Output, render_record, render_rows, say, warn
from adctl.control.drafts import CampaignView, FieldChange, HistoryEntry
from adctl.control.plane import Outcome

Command = TypeVar("Command", bound=Callable[..., None])


def _operating_system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "unknown"


ActorOption = Annotated[
    str,
    typer.Option(
        envvar="ADCTL_ACTOR",
        default_factory=_operating_system_user,
        help="Who makes the change, for the history. [default: the user running adctl]",
        show_default=False,
    ),
]


def with_options(options: Mapping[str, Any]) -> Callable[[Command], Command]:
    """Give a command that takes ``**chosen`` these options: name → Annotated type.

    It gets those that were given. The same options then stand in one place for create and update.
    """

    def decorate(command: Command) -> Command:
        own = inspect.signature(command).parameters.values()
        fixed = [p for p in own if p.kind is not inspect.Parameter.VAR_KEYWORD]

        @wraps(command)
        def run(**arguments: Any) -> None:
            chosen = {name: arguments.pop(name) for name in options}
            given = {name: value for name, value in chosen.items() if value not in (None, [])}
            command(**arguments, **given)

        keyword = inspect.Parameter.KEYWORD_ONLY
        added = [
            inspect.Parameter(name, keyword, default=None, annotation=annotation)
            for name, annotation in options.items()
        ]
        run.__signature__ = inspect.Signature([*fixed, *added])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*fixed, *added]}
        return run  # type: ignore[return-value]

    return decorate


def by_id_or_name(noun: str, flags: str = "--id/--name") -> Callable[[Command], Command]:
    """Give a command whose argument ``noun`` is an id or a name a flag that says which it is."""
    help_text = f"What {noun.upper()} is, where it is an id and also a name."
    kind = Annotated[bool | None, typer.Option(flags, help=help_text, show_default=False)]

    def decorate(command: Command) -> Command:
        own = list(inspect.signature(command).parameters.values())

        @wraps(command)
        def run(**arguments: Any) -> None:
            by_id = arguments.pop("by_id")
            if by_id is not None:
                arguments[noun] = f"{'id' if by_id else 'name'}:{arguments[noun]}"
            command(**arguments)

        keyword = inspect.Parameter.KEYWORD_ONLY
        added = inspect.Parameter("by_id", keyword, default=None, annotation=kind)
        run.__signature__ = inspect.Signature([*own, added])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*own, added]}
        return run  # type: ignore[return-value]

    return decorate


def option(help_text: str, *names: str) -> Any:
    """Return the type of a text option."""
    return Annotated[str | None, typer.Option(*names, help=help_text, show_default=False)]


def repeated(help_text: str, *names: str) -> Any:
    """Return the type of a text option that may be given several times."""
    text = f"{help_text} May be repeated."
    return Annotated[list[str] | None, typer.Option(*names, help=text, show_default=False)]


def files(help_text: str) -> Any:
    """Return the type of an option that names files and may be given several times."""
    text = f"{help_text} May be repeated."
    return Annotated[list[Path] | None, typer.Option(help=text, show_default=False)]


def report(noun: str, done: str, outcome: Outcome[Any], output: Output) -> None:
    """Say what was done on stderr; print the result on stdout as JSON or CSV if asked for."""
    view = outcome.view
    if outcome.dry_run:
        say(f"dry run: {noun} {view.name} would be {done}; nothing was written")
    elif outcome.changed:
        say(f"{noun} {view.id} ({view.name}) {done}")
    else:
        say(f"{noun} {view.id} ({view.name}) was like that already")
    for notice in outcome.notices:
        warn(notice)
    if output is not Output.TABLE or outcome.dry_run:
        show(view, output)


def report_created(noun: str, outcome: Outcome[Any], output: Output) -> None:
    """Report a creation: its id alone on stdout, for scripts, or the whole of it as JSON or CSV."""
    report(noun, "created", outcome, output)
    if output is Output.TABLE and not outcome.dry_run:
        typer.echo(outcome.view.id)


def show(view: Any, output: Output) -> None:
    """Print one advertiser, campaign or creative."""
    record = msgspec.structs.asdict(view)
    if output is Output.TABLE and isinstance(view, CampaignView):
        for field in ("budget", "daily_budget", "bid"):
            record[field] = f"{record[field]} {view.currency}"
        del record["currency"]
        record["creatives"] = [
            f"{creative.id} {creative.name} ({creative.size}, {creative.status})"
            for creative in view.creatives
        ]
    render_record(record, output)


def show_all(views: Sequence[Any], output: Output, columns: Sequence[str]) -> None:
    """Print a listing."""
    render_rows([msgspec.structs.asdict(view) for view in views], output, columns)


def show_history(entries: Sequence[HistoryEntry], output: Output) -> None:
    """Print who changed what, a line per change; in JSON with every field's values."""
    if output is Output.JSON:
        render_rows([msgspec.structs.asdict(entry) for entry in entries], output)
        return
    rows = [
        {
            "at": entry.at,
            "actor": entry.actor,
            "what": f"{entry.entity} {entry.entity_id}",
            "action": entry.action,
            "changes": "; ".join(filter(None, map(_changed, entry.changes))),
        }
        for entry in entries
    ]
    render_rows(rows, output, ("at", "actor", "what", "action", "changes"))


def _changed(change: FieldChange) -> str:
    """Return ``bid 2.00 → 2.50``, or what there is of it; nothing if there is and was nothing."""
    before, after = _value(change.before), _value(change.after)
    if not before:
        return f"{change.field} {after}" if after else ""
    return f"{change.field} {before} → {after or 'none'}"


def _value(value: object) -> str:
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
