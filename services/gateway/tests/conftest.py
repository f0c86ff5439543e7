"""What holds after every call of every router, whatever a test is about."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest
from gateway.router import Links, Router, RouterSettings
from sim import router_bookkeeping

CALLS = ("propose", "ask", "cancel", "link_opened", "link_closed", "response_received", "tick")
NEVER_MS = 1 << 62


@pytest.fixture(autouse=True)
def _books(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no counter of a router differ from what is counted, and none left at rest."""
    routers: list[Router] = []
    make = Router.__init__

    def made(router: Router, settings: RouterSettings, links: Links) -> None:
        make(router, settings, links)
        routers.append(router)

    def checked(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def calling(router: Router, *arguments: object, **named: object) -> object:
            result = call(router, *arguments, **named)
            assert not router_bookkeeping.contradictions(router)
            return result

        return calling

    monkeypatch.setattr(Router, "__init__", made)
    for name in CALLS:
        monkeypatch.setattr(Router, name, checked(getattr(Router, name)))
    yield
    for router in routers:
        router.tick(NEVER_MS)
        router.tick(NEVER_MS)
        assert not router_bookkeeping.remainders(router)
