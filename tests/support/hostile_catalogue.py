"""A catalogue by somebody who wants the page to run his script, or to fall over."""

import json
from pathlib import Path
from typing import Any

from tests.support.catalogue import link_page

MARK = "window.__ran = true"
"""What each script would do."""

MARKUP = f'"><script>{MARK}</script><img src=x onerror="{MARK}"><svg onload="{MARK}">'
ADDRESSES = [
    f"javascript:{MARK}",
    f" java\nscript:{MARK}",
    f"data:text/html,<script>{MARK}</script>",
    f"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='{MARK}'/>",
    "file:///etc/passwd",
    "http://[",
    f"http://127.0.0.1:9/{MARKUP}",
    "a" * 10_000,
]
NAMES = [
    MARKUP,
    f"javascript:{MARK}",
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "\u202egnp.elif\u202c \u2067right to left\u2069",
    "{site} {count} ${name} %s",
    "x" * 10_000,
    "👩\u200d🔬 Terre Adélie",
    "',--></textarea><style>*{display:none}</style>",
    "\t\n ",
]
STRANGE: list[Any] = [None, 0, -1, 1e308, True, [], {}, [[]], "", "2024-13-45", "9" * 400]
"""Values that a field is not meant to have."""


def make_hostile(catalog: Path) -> Path:
    """Write the catalogue: a site for each name, and some with fields of the wrong kind."""
    catalog.mkdir(parents=True)
    link_page(catalog)
    locations = [_site(number, name) for number, name in enumerate(NAMES)]
    locations += [_strange(number, value) for number, value in enumerate(STRANGE)]
    locations += STRANGE
    # json.dumps writes `__proto__` as any other key; JSON.parse makes an own property of it.
    text = json.dumps({"locations": locations, "__proto__": {"polluted": True}})
    (catalog / "image-catalog.json").write_text(text, encoding="utf-8")
    return catalog


def _site(number: int, name: str) -> dict[str, Any]:
    image = {
        "date": "2024-02-03",
        "download": ADDRESSES[number % len(ADDRESSES)],
        "stac-item": ADDRESSES[(number + 1) % len(ADDRESSES)],
        "attribution": name,
        "clear_fraction": 0.5,
        "cloud_fraction": 0.5,
    }
    good = f"../pictures/{number}_q128.png"
    return {
        "id": name,
        "name": name,
        "purpose": [name, "__proto__", MARKUP],
        "lon": 10.0,
        "lat": 20.0,
        "__proto__": {"polluted": True},
        "images": [
            {**image, "id": f"{name}/a", "url": {name: good, "__proto__": good}, "thumbnail": good},
            {**image, "id": "__proto__", "date": "2024-02-04", "url": {"view_q128": good}},
            {**image, "id": "constructor", "date": "2024-02-05", "url": {MARKUP: good}},
            *(
                {**image, "id": f"bad {number} {index}", "url": address, "thumbnail": address}
                for index, address in enumerate(ADDRESSES)
            ),
        ],
    }


def _strange(number: int, value: Any) -> dict[str, Any]:
    """A site that is right, with an image in which every field holds the same strange value."""
    good = f"../pictures/s{number}_q128.png"
    right = {"id": f"right {number}", "date": "2024-02-03", "url": {"view_q128": good}}
    fields = ("id", "date", "url", "thumbnail", "download", "stac-item", "valid_fraction",
              "cloud_fraction", "clear_fraction", "attribution")  # fmt: skip
    return {
        "id": f"strange {number}",
        "name": f"Strange {number}",
        "purpose": value,
        "lon": value,
        "lat": value,
        "grid": value,
        "images": [right, value, dict.fromkeys(fields, value)]
        + [{**right, field: value} for field in fields[3:]],
    }
