"""How many examples of a property are tried: some in `make test`, many in `make soak`."""

from typing import Any, Final

from hypothesis import settings

USUAL: Final = 100
"""What Hypothesis tries of a property, unless told. The profiles try more or fewer."""


def examples(number: int, **more: Any) -> settings:
    """Settings for a property that wants another number of examples than most do.

    Args:
        number: how many there are where most properties have `USUAL`; a profile that has more or
            fewer has more or fewer of these, too.
        more: other settings of Hypothesis.
    """
    share = settings().max_examples / USUAL
    return settings(max_examples=max(1, round(number * share)), **more)
