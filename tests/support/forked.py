"""What the fork server of tests does once, so that none of its processes has to.

It is imported there, last of all: a process that runs a job has Dagster's definitions made, and
modules imported that are imported only when they are first used. What stands by then is kept out of
the processes' garbage collections, which would look at all of it each time.
"""

import gc
import warnings
from importlib import import_module

import dagster as dg

from estinel_assets.build import build_definitions

FIRST_USED_LATER = (
    "anyio._backends._asyncio",
    "h5netcdf.legacyapi",
    "httpcore",
    "imagecodecs",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for name in FIRST_USED_LATER:
        import_module(name)
    build_definitions().get_repository_def()
    with dg.DagsterInstance.ephemeral():
        pass
gc.collect()
gc.freeze()
