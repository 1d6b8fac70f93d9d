"""Whether the packages of an engine are installed."""

from importlib.util import find_spec

from estinel_assets.errors import MissingDependencyError


def require(extra: str, package: str) -> None:
    """See that a package can be imported, without importing it.

    Args:
        extra: the extra that brings it.
        package: its name for `import`.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        found = find_spec(package) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise MissingDependencyError(
            f"this engine needs the package {package}, which is not installed: install "
            f"the extra `{extra}`, as in `pip install 'estinel-assets[{extra}]'`"
        )
