"""Reports of runs as local files."""

from pathlib import Path
from typing import TYPE_CHECKING

from estinel_assets.cli.replacing import replacing
from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from estinel_assets.ard.job_reports import JobReport


def made_folder(folder: Path) -> Path:
    """A folder, made where it is absent.

    Raises:
        BadInputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"the folder {folder} cannot be made ({error.strerror}); name another as --report-dir"
        ) from None
    return folder


def write_report(report: "JobReport", folder: Path, *, plot: bool) -> list[str]:
    """Write a report in all its forms.

    Args:
        report: of the run.
        folder: stands already.
        plot: draw a timeline for each region, too.

    Returns:
        The files, by name.

    Raises:
        BadInputError: one cannot be written.
    """
    from estinel_assets.ard.job_reports import report_files

    written = []
    for name, body in sorted(report_files(report, plots=plot).items()):
        with replacing(folder / name, force=True) as sink:
            sink.write(body)
        written.append(str(folder / name))
    return written
