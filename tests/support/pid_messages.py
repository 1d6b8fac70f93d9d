"""Any message that may come in, for property tests."""

import json
from datetime import UTC, datetime

from hypothesis import strategies as st

from estinel_assets.pids.incoming import IncomingMessage

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(
    st.sampled_from(["data", "metadata", "key", "__infos__", "body_base64"]) | st.text(),
    json_values,
    max_size=4,
)


@st.composite
def json_bodies(draw: st.DrawFn) -> bytes:
    """A JSON object, in one of the ways in which programs write it."""
    document = draw(json_objects)
    text = json.dumps(
        document,
        indent=draw(st.sampled_from([None, 2])),
        separators=draw(st.sampled_from([None, (",", ":")])),
        ensure_ascii=draw(st.booleans()),
    )
    return draw(st.sampled_from([text, f"{text}\n", f" \r\n{text}"])).encode()


bodies = st.none() | st.binary(max_size=40) | json_values.map(json.dumps).map(str.encode)


@st.composite
def messages(draw: st.DrawFn) -> IncomingMessage:
    """A message of Kafka."""
    topic = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
    return IncomingMessage(
        unit=(topic, str(draw(st.integers(0, 99))), str(draw(st.integers(0, 2**63 - 1)))),
        body=draw(bodies | json_bodies()),
        key=draw(st.none() | st.binary(max_size=20) | st.text(max_size=9).map(str.encode)),
        headers=tuple(
            draw(
                st.lists(
                    st.tuples(
                        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
                        st.none() | st.binary(max_size=9),
                    ),
                    max_size=3,
                )
            )
        ),
        received_at=draw(
            st.none()
            | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds of a strategy are naive
        ),
        retries=draw(st.integers(0, 99)),
    )
