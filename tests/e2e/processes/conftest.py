"""One running system for the tests that do not break it."""

from collections.abc import Iterator

import pytest
from chaos.up import Up


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Run `inventory up --demo`; tests add what they need and leave it there."""
    with Up(tmp_path_factory.mktemp("system") / "data") as running:
        yield running
