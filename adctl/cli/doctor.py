"""``adctl doctor``: everything adctl needs, checked by name."""

from dataclasses import fields

import typer

from adctl.cli.context import invocation_of
from adctl.cli.render import Output, OutputOption, render_rows
from adctl.config import chosen_file
from adctl.control.checkup import Finding, Outcome, examine
from adctl.errors import UnhealthyError

app = typer.Typer()


@app.command()
def doctor(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Check configuration, stores, schema and daemons. Exits with 8 if something is wrong.

    A daemon that is not running is a warning only.

    Example: adctl doctor --output json
    """
    invocation = invocation_of(ctx)
    findings = examine(lambda: invocation.settings, chosen_file(invocation.config_path))
    columns = [field.name for field in fields(Finding)]
    render_rows([vars(finding) for finding in findings], output, columns)
    failed = {finding.check: None for finding in findings if finding.outcome is Outcome.FAIL}
    if failed:
        raise UnhealthyError(f"failed: {', '.join(failed)}")
