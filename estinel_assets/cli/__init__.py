"""The `estinel` command.

Results go to stdout, everything else to stderr. With `--json` a command prints exactly one JSON
document on stdout, also when it fails: `{"error": {"type", "message", "exit_code"}}`, beside the
message on stderr. Exit codes stand in `exit_codes`, and `entry` is the one place that turns errors
into them.

From the bottom up:

- `exit_codes`, `output`, `progress`: what every command shares;
- `session`: what one call shares: settings, store, how to print;
- `products`, `outcome_query`: the product lines, and which of their outcomes are meant;
- one module a subject: `config`, `doctor` (its checks in `checks` and `remote_checks`),
  `outcomes`, `sites`, `stac`;
- `app` puts them together; a new subject or product line is added there.

Modules here import nothing heavy at their top (Dagster, rasterio, pyarrow, boto3): `estinel --help`
and shell completion answer at once.
"""

from estinel_assets.cli.app import main

__all__ = ["main"]
