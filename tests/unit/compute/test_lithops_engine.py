"""Lithops: what it leaves behind, what it does not touch, what its templates say."""

import signal
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from estinel_assets.compute.lithops_engine import LithopsEngine
from estinel_assets.compute.worker_errors import WorkerDiedError, WorkerError
from tests.support import engine_work, work
from tests.support.real import ROOT

TEMPLATES = sorted((ROOT / "deploy/lithops").glob("*.yaml"))


def _left():
    from lithops import constants

    below = [constants.JOBS_DIR, constants.LOGS_DIR, constants.MODULES_DIR]
    stored = Path(constants.LITHOPS_TEMP_DIR) / "storage/lithops.jobs"
    return {found for folder in (*below, stored) for found in Path(folder).glob("*")}


def test_nothing_is_left_and_nothing_else_is_touched(capfd):
    import lithops  # noqa: F401 - which makes the folders

    before = _left(), set(threading.enumerate()), sys.excepthook
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}

    with closing(LithopsEngine(2, time_limit_s=60).map(work.misbehave, ["TimeoutError"])) as one:
        assert isinstance(next(one).error, TimeoutError)

    assert _left() - before[0] == set()
    for thread in set(threading.enumerate()) - before[1]:
        if not thread.daemon:
            thread.join(20)  # it ends by itself
            assert not thread.is_alive()
    assert sys.excepthook is before[2]
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert capfd.readouterr() == ("", "")


@pytest.mark.soak
def test_a_process_that_vanishes_is_found_at_once():
    begun = time.monotonic()

    completed = {
        one.item: one
        for one in LithopsEngine(2, time_limit_s=600).map(engine_work.vanish, ["vanish", "stay"])
    }

    assert completed["stay"].result() == "stay"
    assert isinstance(completed["vanish"].error, WorkerDiedError)
    assert time.monotonic() - begun < 60


def test_a_backend_that_cannot_start_is_told():
    config = {"lithops": {"backend": "aws_lambda", "storage": "aws_s3"}}

    with pytest.raises(WorkerError, match=r"Lithops cannot run anything.+aws_lambda"):
        list(LithopsEngine(1, time_limit_s=60, config=config).map(work.square, [1]))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_lithops_accepts_the_template(template):
    from lithops.config import default_config

    text = template.read_text(encoding="utf-8")
    engine = LithopsEngine(1, time_limit_s=60, config=template)

    complete = default_config(config_data=yaml.safe_load(text))

    assert text.startswith("# Not run in this project's CI.")
    assert complete["lithops"]["mode"] == "serverless"
    assert complete["aws"]["region"] == template.stem.removeprefix("aws-")
    assert not complete["lithops"]["telemetry"]
    assert engine.config["aws_lambda"]["runtime"]


def test_there_are_templates_for_both_regions():
    assert [path.stem for path in TEMPLATES] == ["aws-eu-central-1", "aws-us-west-2"]


@pytest.mark.parametrize("name", ["Dockerfile", "README.md"])
def test_every_other_file_says_that_it_is_not_run(name):
    text = (ROOT / "deploy/lithops" / name).read_text(encoding="utf-8")

    first_lines = " ".join(text.splitlines()[:3])
    assert "Not run in this project's CI." in first_lines
