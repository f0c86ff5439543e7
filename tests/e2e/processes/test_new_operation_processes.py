"""An operation is added to a copy of the tree by the steps of CONTRIBUTING.md, and called."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from chaos.up import Up
from inventory_client import Inventory

ROOT = Path(__file__).resolve().parents[3]
SECONDS_MAX = 120  # for one program
pytestmark = [pytest.mark.slow, pytest.mark.long]

SCHEMA = "proto/inventory/v1/inventory.proto"
MACHINE = "services/inventory-node/src/inventory_node/machine"
METHOD = """\
  // Writes off what is on hand of an item. Errors: NOT_FOUND (ITEM_NOT_FOUND).
  rpc WriteOffStock(WriteOffStockRequest) returns (WriteOffStockResponse) {
    option (inventory.v1.access) = {
      roles: [ROLE_PRODUCER, ROLE_ADMIN]
    };
  }
"""
MESSAGES = """\
message WriteOffStockRequest {
  string request_id = 1 [(inventory.v1.bounds) = {min_bytes: 1, max_bytes: 64}];
  int64 item_id = 2 [(inventory.v1.bounds) = {min: 1}];
  // Why the units are gone.
  string reason = 3 [
    (inventory.v1.bounds) = {format: FORMAT_TEXT, min_characters: 3, max_characters: 20}
  ];
}

// What was written off.
message WriteOffStockResponse {
  option (inventory.v1.model) = {name: "WrittenOff"};

  int64 item_id = 1;
  int64 quantity = 2;  // units that were on hand
  int64 revision = 3;
}

"""
RULE = '''

def write_off_stock(
    cache: StateCache, request: inventory_pb2.WriteOffStockRequest, context: Context
) -> inventory_pb2.Outcome:
    """Take all that is on hand."""
    item = find(cache, request.item_id)
    if not isinstance(item, ItemRecord):
        return item
    gone = item.quantity
    if gone:
        cache.move(item, context.user_id, -gone, 0, context.stamp_ms)
    return Outcome(
        write_off_stock=inventory_pb2.WriteOffStockResponse(
            item_id=item.id, quantity=gone, revision=context.revision
        )
    )
'''
COMMAND = '''

@stock_app.command("write-off")
def stock_write_off(
    context: typer.Context,
    item: ItemId,
    reason: Annotated[str, typer.Argument(help="Why the units are gone.")],
    request_id: RequestId = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write off what is on hand (producers, admins)."""
    with connected(context.obj) as inventory, attempt(request_id) as chosen:
        gone = inventory.write_off_stock(item, reason, chosen)
    with done(f"{gone.quantity} of item {item} were written off"):
        show(output, gone)
'''
BEFORE: Mapping[str, tuple[tuple[str, str], ...]] = {  # by file: (what follows, what is added)
    SCHEMA: (
        ("  // Mutations in bulk: ", METHOD),
        ("// One mutation, as a stream carries it", MESSAGES),
        (
            "  }\n}\n\n// What became of a mutation",
            "    WriteOffStockRequest write_off_stock = 8;\n",
        ),
        (
            "    google.rpc.Status error = 15;\n",
            "    WriteOffStockResponse write_off_stock = 8;\n",
        ),
    ),
    f"{MACHINE}/commands.py": (
        (
            '    "place_order": orders.place_order,\n',
            '    "write_off_stock": stock.write_off_stock,\n',
        ),
    ),
}
APPENDED: Mapping[str, str] = {
    f"{MACHINE}/stock.py": RULE,
    "clients/cli/src/inventory_cli/commands.py": COMMAND,
}
PROGRAM = """
    import asyncio, sys
    from inventory_client import AsyncInventory, Inventory, Refused, WrittenOff

    def told(call):
        try:
            return call()
        except Refused as refused:
            return refused.reason, refused.details.get("field", "")

    address = sys.argv[1]
    with Inventory(address, ("Sarthak", "password2")) as inventory:
        gone = inventory.write_off_stock(1, "flooded", request_id="first")
        assert isinstance(gone, WrittenOff) and gone.item_id == 1 and gone.quantity > 0, gone
        again = inventory.write_off_stock(1, "flooded", request_id="first")
        assert again == gone, "a retry is answered with the first outcome"
        assert inventory.write_off_stock(1, "flooded").quantity == 0
        assert inventory.item(1).quantity == 0
        assert told(lambda: inventory.write_off_stock(0, "flooded"))[1] == "item_id"
        assert told(lambda: inventory.write_off_stock(1, "x" * 21))[1] == "reason"
        assert told(lambda: inventory.write_off_stock(1, "bell\\a"))[1] == "reason"
        assert told(lambda: inventory.write_off_stock(999, "lost"))[0] == "ITEM_NOT_FOUND"
        assert inventory.write_off_stock.__doc__.startswith("Write off what is on hand of an item.")
    with Inventory(address, ("Gayathri", "password1")) as customer:
        assert told(lambda: customer.write_off_stock(2, "lost"))[0] == "ROLE_NOT_ALLOWED"

    async def unary():
        async with AsyncInventory(address, ("Sarthak", "password2"), unary=True) as inventory:
            assert (await inventory.write_off_stock(2, "lost", request_id="second")).quantity > 0
            assert (await inventory.item(2)).quantity == 0

    asyncio.run(unary())
"""


def python(copy: Path) -> dict[str, str]:
    """Return an environment in which Python finds the copy's packages before this tree's."""
    places = [copy / "tools", *copy.glob("*/*/src")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places))}


def run(
    copy: Path, *arguments: str, status: int = 0, environment: Mapping[str, str] | None = None
) -> str:
    """Run Python on the copy; return its output, with stderr last."""
    done = subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, *arguments],
        cwd=copy,
        env=python(copy) | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr if status else done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Copy the tree, add an operation by hand, and make what follows from the schema."""
    target = tmp_path_factory.mktemp("copy") / "inventory"
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - whatever git the user has
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    for name, additions in BEFORE.items():
        text = (target / name).read_text()
        for following, added in additions:
            assert text.count(following) == 1, f"{name}: {following!r}"
            text = text.replace(following, added + following)
        (target / name).write_text(text)
    for name, added in APPENDED.items():
        (target / name).write_text((target / name).read_text() + added)
    for tool in ("generate_proto", "generate_client", "generate_api"):
        run(target, f"tools/{tool}.py")
    yield target
    shutil.rmtree(target)


def test_four_files_are_written_by_hand() -> None:
    """The files are the schema, the rule, the table of rules and the command; tests are more."""
    assert len({*BEFORE, *APPENDED}) == 4


def test_what_follows_from_the_schema_is_made(copy: Path) -> None:
    """Stubs, raw twins, methods, records and tables are made, and no check finds a stale file."""
    for tool in ("generate_proto", "generate_client", "generate_api"):
        run(copy, f"tools/{tool}.py", "--check")
    assert "bytes write_off_stock = 8;" in (copy / "proto/inventory/raft/v1/raw.proto").read_text()
    row = next(one for one in (copy / "docs/api.md").read_text().splitlines() if "WriteOff" in one)
    assert "| producers and admins | yes | `write_off_stock` | Writes off what is on hand" in row
    tests = (
        "libs/wire/tests",
        "clients/sdk/tests/test_sdk_surface.py",
        "tests/tidy/test_contracts.py",
    )
    run(copy, "-m", "pytest", "-q", *tests, "-k", "not registry")  # this asks git
    run(copy, "-m", "mypy", "services", "clients", "tools")


def test_the_operation_works_on_a_running_system(copy: Path, tmp_path: Path) -> None:
    """By both clients and both ways of calling, guarded and bounded, once; and by the command."""
    with Up(tmp_path / "data", environment=python(copy)) as running:
        run(copy, "-c", dedent(PROGRAM), running.address)
        with Inventory(running.address) as keeper:
            keeper.login("Sarthak", "password2")
            token = tmp_path / "token"
            token.write_text(keeper.token or "")
            token.chmod(0o600)
        command = ("-m", "inventory_cli", "--address", running.address, "stock", "write-off")
        given = {"INVENTORY_TOKEN_FILE": str(token)}
        written = run(copy, *command, "3", "burnt", "--output", "json", environment=given)
        assert json.loads(written)["item_id"] == 3
        problem = run(copy, *command, "0", "burnt", status=2, environment=given)
        assert "item" in problem
