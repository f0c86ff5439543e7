"""One running system for all attacks: each leaves it well, or fails."""

from collections.abc import Iterator

import pytest
from attacks.measured import mallory, plenty
from chaos.up import Up


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Run `inventory up --demo`, behind a proxy: attackers say that they call from elsewhere."""
    behind = {"INVENTORY_GATEWAY_TRUSTED_HOPS": "1"}
    with Up(tmp_path_factory.mktemp("attacked") / "data", environment=behind) as running:
        yield running


@pytest.fixture(scope="session")
def token(system: Up) -> str:
    """Return a token of a customer who attacks."""
    return mallory(system)


@pytest.fixture(scope="session")
def item(system: Up) -> int:
    """Return an item that does not run out."""
    return plenty(system)
