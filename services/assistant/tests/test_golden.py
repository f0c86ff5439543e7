"""Golden questions: what was asked, as whom, and exactly what is answered.

One JSON line each. `UPDATE_GOLDEN=1` rewrites the answers; they are read in review like code.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "golden"
FILES = sorted(FOLDER.glob("*.jsonl"))


def cases() -> list[Any]:
    """Return every question with its expected answer."""
    return [
        pytest.param(path.stem, json.loads(line), id=f"{path.stem}-{json.loads(line)['question']}")
        for path in FILES
        for line in path.read_text().splitlines()
    ]


def answered(asker: Any, catalogue: str, case: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - the fixture
    """Return the case with the answer that is given."""
    answer = asker.ask(catalogue, case["as"], case["question"])
    return {
        "as": case["as"],
        "question": case["question"],
        "text": answer.text,
        "columns": list(answer.columns),
        "rows": [list(row.cells) for row in answer.rows],
        "query": answer.query,
        "understood": answer.understood,
        "revision": answer.revision,
    }


@pytest.mark.skipif(bool(os.environ.get("UPDATE_GOLDEN")), reason="the answers are being rewritten")
@pytest.mark.parametrize(("catalogue", "case"), cases())
def test_a_golden_question(asker: Any, catalogue: str, case: dict[str, Any]) -> None:  # noqa: ANN401 - the fixture
    """Text, columns, rows, the query as understood and the revision are exactly these."""
    assert answered(asker, catalogue, case) == case


def test_there_are_enough_of_them() -> None:
    """Two catalogues, a hundred and fifty questions at least."""
    assert len(FILES) == 2
    assert len(cases()) >= 150


def test_rewrite(asker: Any) -> None:  # noqa: ANN401 - the fixture
    """With UPDATE_GOLDEN=1, write down what is answered; otherwise do nothing."""
    if not os.environ.get("UPDATE_GOLDEN"):
        return
    for path in FILES:
        lines = [
            json.dumps(answered(asker, path.stem, json.loads(line)), ensure_ascii=False)
            for line in path.read_text().splitlines()
        ]
        path.write_text("\n".join(lines) + "\n")
