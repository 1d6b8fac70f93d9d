"""The registry of product lines: what `--product` may say."""

from typing import TYPE_CHECKING, Annotated

import typer

from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from estinel_assets.cli.session import Session
    from estinel_assets.outcomes.book import OutcomeBook, ProductOutcomes


def product_lines() -> dict[str, "ProductOutcomes"]:
    """All product lines by name. A new one is added here."""
    from estinel_assets.ard.reasons import ARD
    from estinel_assets.compatibility.reasons import COMPATIBILITY
    from estinel_assets.imagery.reasons import IMAGERY
    from estinel_assets.pids.reasons import PIDS
    from estinel_assets.publishing.reasons import PUBLISHING

    return {line.product: line for line in (ARD, COMPATIBILITY, IMAGERY, PIDS, PUBLISHING)}


def product_line(name: str) -> "ProductOutcomes":
    """The product line of that name.

    Raises:
        BadInputError: there is none; the message lists those there are.
    """
    known = product_lines()
    if name not in known:
        raise BadInputError(
            f"no product line is called {name!r}; choose one of: {', '.join(known)}"
        )
    return known[name]


def open_outcomes(session: "Session", name: str) -> "OutcomeBook":
    """The outcomes of a product line, in the store of the settings.

    Raises:
        BadInputError: there is no such product line, or the store cannot be opened.
    """
    from estinel_assets.outcomes.book import OutcomeBook

    line = product_line(name)
    return OutcomeBook.from_settings(session.open_store(), line, session.settings.outcomes)


def _complete(incomplete: str) -> list[str]:
    return [name for name in product_lines() if name.startswith(incomplete)]


ProductOption = Annotated[
    str,
    typer.Option("--product", "-p", help="Product line.", metavar="NAME", autocompletion=_complete),
]
