"""Engines by name, and what is missing for them."""

import subprocess
import sys
import threading

import pytest

from estinel_assets.compute import Threads, open_engine
from estinel_assets.compute.dask_engine import DaskEngine
from estinel_assets.compute.lithops_engine import LithopsEngine
from estinel_assets.compute.processes import Processes
from estinel_assets.errors import BadInputError, MissingDependencyError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("threads", Threads),
        ("processes", Processes),
        ("dask", DaskEngine),
        ("lithops", LithopsEngine),
    ],
)
def test_each_name_is_an_engine(name, kind):
    engine = open_engine(name, 3)

    assert type(engine) is kind
    assert engine.workers == 3


def test_options_reach_the_engine(tmp_path):
    file = tmp_path / "lambda.yaml"
    file.write_text("lithops: {backend: aws_lambda, storage: aws_s3}\n")

    processes = open_engine("processes", 1, time_limit_s=7, memory_limit_mib=512)
    dask = open_engine("dask", 1, time_limit_s=7, dask_address="tcp://10.0.0.1:8786")
    lithops = open_engine("lithops", 1, time_limit_s=7, lithops_config=file)

    assert (processes.limits.time_s, processes.limits.memory_mib) == (7, 512)
    assert (dask.time_limit_s, dask.address) == (7, "tcp://10.0.0.1:8786")
    assert lithops.time_limit_s == 7
    assert lithops.config["lithops"]["backend"] == "aws_lambda"


def test_an_unknown_name_is_refused():
    with pytest.raises(BadInputError, match="no engine `ray`; take one of: threads, processes"):
        open_engine("ray", 2)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(BadInputError) as raised:
        open_engine("threads", 0, memory_limit_mib=1, dask_address="tcp://10.0.0.1:8786")

    assert str(raised.value) == (
        "the engine `threads` has no option dask_address; "
        "the engine `threads` has no option memory_limit_mib; "
        "workers is 0, but has to be at least 1"
    )


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("processes", "pebble", "compatibility"),
        ("dask", "distributed", "dask"),
        ("lithops", "lithops", "lithops"),
    ],
)
def test_a_missing_extra_is_named(name, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingDependencyError, match=rf"{package}.+estinel-assets\[{extra}\]"):
        open_engine(name, 1)


def test_importing_and_opening_load_no_engine_that_is_not_used():
    heavy = "'cloudpickle', 'dask', 'distributed', 'lithops', 'pebble'"
    script = (
        "import sys\n"
        "from estinel_assets.compute import open_engine\n"
        "open_engine('dask', 1), open_engine('lithops', 1)\n"
        f"print(sorted({{{heavy}}} & set(sys.modules)))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_dask_refuses_numbers_that_are_no_limits():
    with pytest.raises(BadInputError) as raised:
        DaskEngine(0, address="tcp://10.0.0.1:8786", time_limit_s=-1, memory_limit_mib=1)

    assert "workers is 0" in str(raised.value)
    assert "time_limit_s is -1" in str(raised.value)
    assert "memory_limit_mib is for a cluster of this machine" in str(raised.value)


def test_lithops_refuses_numbers_that_are_no_limits():
    with pytest.raises(BadInputError, match=r"workers is 0.+time_limit_s is inf"):
        LithopsEngine(0, time_limit_s=float("inf"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot be read"),
        ("lithops: [", "cannot be read"),
        ("aws: {region: eu-central-1}", "no section `lithops`"),
    ],
)
def test_a_configuration_of_lithops_that_is_none(text, complaint, tmp_path):
    file = tmp_path / "lithops.yaml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(BadInputError, match=complaint):
        LithopsEngine(1, time_limit_s=1, config=file)


@pytest.mark.parametrize("kind", [DaskEngine, LithopsEngine])
def test_a_function_that_cannot_be_sent_is_refused(kind):
    lock = threading.Lock()

    with pytest.raises(BadInputError, match="cannot be sent to another process"):
        kind(1, time_limit_s=1).map(lambda n: lock and n, [1])
