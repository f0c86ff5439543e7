"""Both ends of links over loopback, on either event loop."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop

SECONDS_MAX = 20

Scenario = Callable[[], Awaitable[None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Return what runs a scenario, bounded, on one of the loops."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def bounded(scenario: Scenario) -> None:
        async def within_time() -> None:
            async with asyncio.timeout(SECONDS_MAX):
                await scenario()

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(within_time())

    return bounded
