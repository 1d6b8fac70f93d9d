"""`python -m estinel_assets.cli`: the command without its script on the PATH."""

from estinel_assets.cli import main

main()
