"""What a command imports: no mistake waits for torch, and no question for torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from glassmind.cli.main import main
code = main(sys.argv[2:])
print([name for name in sys.argv[1].split(",") if name in sys.modules], code)
"""


def imported(modules: str, *argv: str) -> str:
    """Which of ``modules`` a command has imported when it ends, and its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, modules, *argv], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "argv",
    [
        ("ask", ""),
        ("ask", "--samples", "0", "What is 2+2?"),
        ("eval", "--task", "nonsense"),
        ("convert", "demo", "x.onnx"),
    ],
    ids=lambda argv: argv[0],
)
def test_a_mistake_is_said_before_torch_is_imported(argv: tuple[str, ...]) -> None:
    assert imported("torch", *argv) == "[] 2"


def test_a_question_does_not_import_the_compiler() -> None:
    assert imported("torch,torch._dynamo,sympy", "ask", "What is 12 times 7?") == "['torch'] 0"
