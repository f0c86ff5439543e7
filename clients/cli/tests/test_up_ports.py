"""The ports of `inventory up`, and the lines of a start about them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from inventory_cli.errors import UpError
from inventory_cli.up.layout import PROCESSES, Layout, environments, metrics_of
from inventory_cli.up.places import lines
from inventory_cli.up.ports import ASSISTANT, GATEWAY, HEALTH, METRICS, NODES, ROWS, PortRow, claim

ANY = dict.fromkeys(ROWS, 0)


@pytest.fixture
def taken() -> Iterator[int]:
    """Listen on a port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_every_port_has_a_fixed_default_of_its_own() -> None:
    """The same address at every start, for bookmarks and scrapers."""
    ports = [row.first + place for row in ROWS for place in range(len(row.names))]
    assert len(set(ports)) == len(ports) == 15
    assert GATEWAY.first == 50_051
    assert HEALTH.first == 18_080
    assert METRICS.names[0] == "metrics/metrics"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.option)
def test_a_port_that_is_taken_is_named_with_its_option(row: PortRow, taken: int) -> None:
    """The line names the option that moves the port."""
    with pytest.raises(UpError) as refused:
        claim(ANY | {row: taken}, {})
    name = row.names[0].replace("/", " ")
    assert str(refused.value).startswith(f"port {taken} is taken ({name})")
    assert str(refused.value).endswith(f"; give another one with {row.option}")


def test_several_that_are_taken_are_named_at_once(taken: int) -> None:
    """One start names all taken ports."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        second = other.getsockname()[1]
        with pytest.raises(UpError) as refused:
            claim(ANY | {GATEWAY: taken, HEALTH: second}, {})
    assert str(refused.value) == (
        f"port {taken} is taken (gateway); port {second} is taken (health page); "
        "give another one with --port, --health-port"
    )


def test_a_port_that_is_given_twice_is_refused() -> None:
    """A port within a row of ports counts as given, too."""
    with pytest.raises(
        UpError, match="port 2002 is given twice, by --assistant-port and --members"
    ):
        claim(ANY | {NODES: 2_000, ASSISTANT: 2_002}, {})


def test_free_ports_stay_where_they_were() -> None:
    """Port 0 takes any port. The next start takes the same ports, unless they are taken."""
    first = claim(ANY, {})
    assert len(set(first.values())) == 15
    assert claim(ANY, first) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["assistant"]))
        other.listen()
        again = claim(ANY, first)
    assert {name for name in first if first[name] != again[name]} == {"assistant"}


@pytest.mark.slow  # hashes passwords
def test_a_start_names_every_address_folder_and_user(tmp_path: Path) -> None:
    """The lines have addresses, folders of data and logs, and the login command."""
    layout = Layout(tmp_path)
    layout.prepare("USD", demo=True)
    ports = claim(ANY, {})
    said = "\n".join(lines(layout, ports))
    for settings in environments(layout, ports).values():
        for variable, value in settings.items():
            if variable.endswith("_LISTEN"):
                assert value in said, variable
    for process in PROCESSES:
        assert f"http://127.0.0.1:{ports[metrics_of(process)]}/metrics" in said
    assert f"http://127.0.0.1:{ports['health/page']}/" in said
    for words in (
        str(layout.data),
        str(layout.run),
        str(layout.keys / "admin.password"),
        "Gayathri (customer), password password1",
        "Sarthak (producer), password password2",
        "Sushma (customer), password password3",
    ):
        assert words in said


@pytest.mark.slow  # hashes passwords
def test_without_demo_users_none_is_named(tmp_path: Path) -> None:
    """A later `--demo` makes none."""
    layout = Layout(tmp_path)
    layout.prepare("USD", demo=False)
    layout.prepare("USD", demo=True)
    assert "password1" not in "\n".join(lines(layout, claim(ANY, {})))
