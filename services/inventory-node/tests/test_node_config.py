"""Nonsense is refused at the start, in one line a setting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = {
    "INVENTORY_NODE_NAME": "node-0",
    "INVENTORY_NODE_LISTEN": "127.0.0.1:7400",
    "INVENTORY_NODE_MEMBERS": "node-0=127.0.0.1:7400,node-1=127.0.0.1:7401",
    "INVENTORY_TLS_CERTIFICATE_FILE": "/nowhere/node-0.pem",
    "INVENTORY_TLS_KEY_FILE": "/nowhere/node-0.key",
    "INVENTORY_TLS_TRUSTED_FILE": "/nowhere/ca.pem",
}


def start(tmp_path: Path, **change: str) -> tuple[int, str]:
    """Start a node that must refuse; return its exit status and what it said."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("INVENTORY_")
    }
    given = environment | GOOD | {"INVENTORY_DATA_DIR": str(tmp_path / "data")} | change
    done = subprocess.run(
        [sys.executable, "-m", "inventory_node"],
        env={name: value for name, value in given.items() if value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INVENTORY_NODE_NAME", ""),
        ("INVENTORY_NODE_NAME", "node-9"),
        ("INVENTORY_NODE_LISTEN", "127.0.0.1"),
        ("INVENTORY_NODE_LISTEN", "127.0.0.1:99999"),
        ("INVENTORY_NODE_MEMBERS", "node-0=here"),
        ("INVENTORY_NODE_MEMBERS", "node-0=a:1,node-0=b:2"),
        ("INVENTORY_LOG_LEVEL", "loud"),
        ("INVENTORY_RAFT_SEGMENT_BYTES", "5000"),
        ("INVENTORY_FAILPOINTS", "before-lunch=kill"),
        ("INVENTORY_TLS_KEY_FILE", "/nowhere/key"),
    ],
)
def test_a_bad_setting_is_one_line_and_status_2(tmp_path: Path, name: str, value: str) -> None:
    """Nothing is made, nothing is started."""
    status, said = start(tmp_path, **{name: value})
    assert status == 2, said
    assert said.count("\n") == 1
    assert said.startswith("inventory-node: ")
    assert not (tmp_path / "data" / "wal").exists()
