"""`estinel publish`: job folders into object store, dataset index and STAC API, and back."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from estinel_assets.cli.publish_audit import audit
from estinel_assets.cli.publish_find import find
from estinel_assets.cli.publish_recover import recover, remove
from estinel_assets.cli.publish_show import show
from estinel_assets.cli.session import JsonOption, Session

_NAMED = "estinel.publish.command"
"""Key in a context's `meta`: whether a command was named."""


class FolderOrCommand(TyperGroup):
    """A group that may be given a folder in place of one of its commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words. The name of a command comes before a folder of that name."""
        named = bool(args) and args[0] in self.commands
        ctx.meta[_NAMED] = named
        # Options may follow a folder; those that follow a command's name are the command's.
        ctx.allow_interspersed_args = not named
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Options and the folder; where a command was named, there is no folder."""
        params = super().get_params(ctx)
        if not ctx.meta.get(_NAMED):
            return params
        return [one for one in params if one.param_type_name != "argument"]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that was named."""
        if not ctx.meta[_NAMED]:
            ctx.fail(f"publish takes one folder at a time; what is {args[0]!r}?")
        return super().resolve_command(ctx, args)


class PolicyWord(StrEnum):
    """What to do where other content stands; see `publishing.model.Policy`."""

    FAIL = "fail"
    SKIP = "skip"
    REPLACE = "replace"
    VERSION = "version"


app = typer.Typer(
    cls=FolderOrCommand,
    invoke_without_command=True,
    subcommand_metavar="",
)


@app.callback()
def publish(
    context: typer.Context,
    *,
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A job's folder. One named like a command: ./recover.", metavar="JOB_DIR"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--id", help="Id of the publication; else the folder's name.", metavar="ID"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="datasets.json; else publishing.config.", metavar="FILE"),
    ] = None,
    policy: Annotated[
        PolicyWord | None,
        typer.Option(help="Where other content stands; else publishing.policy."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the steps; do none.")] = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Publish a job's folder: object store, dataset index and STAC API, all three or none.

    The same content again changes nothing. The commands below look after what was published.

    Exit codes: 0 published, unchanged or skipped; 2 failed, and undone; 3 the folder cannot be
    published; 5 stopped, and undone; 6 its type is not enabled.
    """
    if context.invoked_subcommand is not None:
        return
    if folder is None:
        raise typer.BadParameter("name a job's folder, as in `estinel publish /jobs/17`")
    from estinel_assets.cli.publish_folder import plan_folder, publish_folder

    work = plan_folder if dry_run else publish_folder
    work(Session.of(context), folder, name, policy, config)


app.command("recover")(recover)
app.command("audit")(audit)
app.command("show")(show)
app.command("remove")(remove)
app.command("find")(find)
