"""A site's run that is killed leaves nothing behind that the next run does not repair."""

import shutil
import signal
from datetime import timedelta

import pytest

from estinel_assets.storage.lease import read_lease
from tests.support.imagery import (
    FIRST_DAY,
    digests,
    imagery_world,
    plain_scenes,
    quiet_dagster,
    stamped,
)
from tests.support.imagery_crash import crash

pytestmark = quiet_dagster

PUBLIC = "https://images.example/archive"
DAY = (FIRST_DAY + timedelta(days=1)).isoformat()
STEM = f"sentinel-2-c1-l2a/2024/12/02/Hobart_{DAY}"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two days that stand, of which one changed since."""
    scenes = plain_scenes(tmp_path_factory.getbasetemp())[2:4]
    settings = {"store": {"public_url": PUBLIC}, "outcomes": {"lease_ttl_s": 30}}
    with imagery_world(tmp_path_factory.mktemp("crash"), scenes, settings=settings) as made:
        assert made.update().success
        shutil.copytree(made.folder / "store", made.folder / "former")
        # Another stamp and other pixels: those of the day after.
        changed = stamped(scenes[0])
        changed["assets"] = scenes[1]["assets"]
        made.publish(changed)
        yield made


@pytest.fixture(scope="module")
def clean(world):
    """What an undisturbed run makes of it."""
    former = digests(world.products())
    assert world.update().success
    assert world.run("build_web_catalog").success
    products = digests(everything(world))
    assert any(products[path] != digest for path, digest in former.items())
    return products


def everything(world):
    """What is published: images, items, catalogue."""
    catalog = world.products("catalog")
    # Fragments and the merge's state name versions of objects, which differ from store to store.
    merged = {path: body for path, body in catalog.items() if "image-catalog" in path}
    return {**world.products(), **merged}


# Every day, a site without Dagster is killed at one write of each kind: `test_increment_crashes`.
@pytest.mark.parametrize(
    "before",
    [
        pytest.param(f"{STEM}_scl.tif", id="among the images", marks=pytest.mark.soak),
        pytest.param(f"{STEM}.json", id="item, after them", marks=pytest.mark.soak),
        pytest.param(f"{DAY}/status=true", id="outcome"),
    ],
)
def test_a_rebuild_that_was_killed_is_planned_again(world, clean, before):
    name = before.rsplit("/", 1)[1].replace("=", "-")
    shutil.copytree(world.folder / "former", world.folder / name)
    killed = world.move(f"file://{world.folder / name}")
    listed = killed.fragment()

    assert crash(str(killed.config), killed.site, before) == -signal.SIGKILL

    outcome = killed.outcomes()[DAY]
    assert (outcome.status, outcome.reason) == (False, "interrupted")
    assert outcome.detail["standing"]["outputs"] == list(outcome.outputs)
    assert len(outcome.outputs) == 9
    assert killed.fragment() == listed
    assert not read_lease(killed.store, f"leases/imagery/{killed.site}.json").released

    again = killed.update()

    assert again.success, again.error
    assert killed.reasons()[DAY] == "none"
    assert killed.run("build_web_catalog").success
    assert digests(everything(killed)) == clean


@pytest.mark.soak
def test_a_first_run_that_was_killed_is_made_up_for(world, clean):
    killed = world.move(f"file://{world.folder / 'first'}")
    before = f"{DAY}/status=true"

    assert crash(str(killed.config), killed.site, before) == -signal.SIGKILL

    assert DAY not in killed.outcomes()  # no outcome says that it is done

    assert killed.update().success
    assert killed.run("build_web_catalog").success
    assert digests(everything(killed)) == clean
