"""Servers of tests end soon after they are told to."""

import asyncio
from typing import Any

import uvicorn.server

TICK_S = 0.01
"""How often a server looks whether it is to end, in seconds."""


class _Asyncio:
    """What uvicorn's server uses of asyncio, with shorter pauses."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(min(delay_s, TICK_S))


def quicken_uvicorn() -> None:
    """Let uvicorn pause for less than its tenth of a second.

    It pauses twice where it ends, and the tests end hundreds of servers.
    """
    uvicorn.server.asyncio = _Asyncio()  # type: ignore[assignment]
