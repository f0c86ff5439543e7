"""One running system for the tests that do not break it."""

from collections.abc import Iterator

import pytest
from chaos.up import PROXIES, Up


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Run `inventory up --demo`; tests add what they need and leave it there.

    It runs in an environment whose proxies reach nobody, as every process of it has to bear.
    """
    with Up(tmp_path_factory.mktemp("system") / "data", environment=PROXIES) as running:
        yield running
