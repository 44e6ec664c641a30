"""Tab completion: what the scripts complete, asked of the shells themselves where they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import product

from glassmind.cli.completion_scripts import SCRIPTS, Command, Option
from glassmind.cli.main import VERBS

ASKED = {
    "glassmind ch": {"chat", "check"},
    "glassmind ask --mo": {"--model"},
    "glassmind chat --weights int": {"int8", "int4"},
    "glassmind tokenizer s": {"show"},
    "glassmind tokenizer train --ki": {"--kind"},
    "glassmind tokenizer train --kind ": {"bpe", "wordpiece", "char"},
    "glassmind completion ": {"bash", "zsh", "fish"},
    "glassmind compare --out cur": {"curves.html"},
    "glassmind report my": {"my run"},
}


def answers(shell: str, script: Path) -> list[set[str]]:
    """What a shell completes each line of ``ASKED`` with."""
    if shell == "bash":
        asking = "\n".join(
            f"COMP_WORDS=({line}{chr(39) * 2 if line.endswith(' ') else ''}); "
            "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _glassmind; "
            'printf "%s\\t" "${COMPREPLY[@]}"; echo'
            for line in ASKED
        )
    else:
        asking = "\n".join(
            f"for one in (complete -C '{line}'); printf '%s\\n' $one | cut -f1 | tr '\\n' '\\t'; "
            "end; echo"
            for line in ASKED
        )
    options = ["--norc"] if shell == "bash" else ["--no-config"]
    done = subprocess.run(
        [shell, *options, "-c", f"source {script}\n{asking}"],
        capture_output=True,
        text=True,
        cwd=script.parent,
    )
    lines = done.stdout.splitlines()
    return [{word.rstrip("/") for word in line.split("\t") if word} for line in lines]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_completes(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    script = tmp_path / "script"
    script.write_text(product(capsys, "completion", shell), "utf-8")
    (tmp_path / "curves.html").touch()
    (tmp_path / "my run").mkdir()
    found = [{word.replace("\\ ", " ") for word in words} for words in answers(shell, script)]
    assert dict(zip(ASKED, found, strict=True)) == ASKED


@pytest.mark.parametrize("shell", SCRIPTS)
def test_scripts_know_every_verb_and_quote_what_they_say(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = product(capsys, "completion", shell)
    for verb in VERBS:
        assert verb in text
    for option in ("temperature", "max-tokens", "near-duplicates"):
        assert option in text
    odd = Option(("--odd",), 'it\'s [a] "$(touch hacked)": `touch hacked`', True, ("a'b", "c"))
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell]([Command("verb", "it's $HOME", (odd,), ())]), "utf-8")
    if shutil.which(shell) is not None:
        checked = ["-n", str(script)]
        subprocess.run([shell, *checked], check=True, cwd=tmp_path)
        assert not (tmp_path / "hacked").exists()
