"""Pulling a model from a stand-in hub that breaks, lies, refuses and is slow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from hub_server import COMMIT, Fault, Hub, Repository

from glassmind.errors import UserError
from glassmind.interop import resumable
from glassmind.interop.hub import pull
from glassmind.progress import Silent

NAME = "org/small"
WEIGHTS = bytes(range(256)) * 12_000  # 3 MB
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}" * 1000,
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"never fetched",
    "README.md": b"not read here",
    "onnx/model.onnx": b"not read here",
    "empty.json": b"",
}
WANTED = {"config.json", "tokenizer.json", "model.safetensors"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_a_token")
    monkeypatch.setattr(resumable, "PAUSES", (0.0, 0.0, 0.0))
    with Hub({NAME: Repository(dict(FILES))}) as running:
        yield running


class Watcher(Silent):
    """What was shown while downloading."""

    def __init__(self) -> None:
        self.total = 0
        self.seen: list[int] = []

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        self.total = total

    def update(self, done: int, **figures: float) -> None:
        self.seen.append(done)


def get(hub: Hub, name: str = NAME, **options: Any) -> Path:
    return pull(name, options.pop("progress", Silent()), endpoint=hub.endpoint, **options)


def complaint(hub: Hub, name: str = NAME, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        get(hub, name, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def there(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_files_of_a_model_and_no_others(hub: Hub) -> None:
    watcher = Watcher()
    folder = get(hub, progress=watcher)
    assert folder == Path("models/org--small")
    found = there(folder)
    mark = json.loads(found.pop(".pulled.json"))
    assert found == {name: FILES[name] for name in WANTED}
    assert mark == {"repository": NAME, "revision": COMMIT}
    assert watcher.seen == sorted(watcher.seen)
    assert watcher.seen[-1] == watcher.total == 4


def test_the_template_for_tools_comes_to_its_own_folder(hub: Hub) -> None:
    path = "additional_chat_templates/tool_use.jinja"
    hub.repositories["org/tools"] = Repository(dict(FILES) | {path: b"T"})
    folder = get(hub, "org/tools")
    assert (folder / path).read_bytes() == b"T"
    assert get(hub, "org/tools") == folder  # everything is there


def test_the_stand_in_is_one_for_the_library_too(hub: Hub, tmp_path: Path) -> None:
    for name in sorted(WANTED):
        path = huggingface_hub.hf_hub_download(
            NAME, name, endpoint=hub.endpoint, cache_dir=tmp_path / "cache"
        )
        assert Path(path).read_bytes() == FILES[name]


def test_a_second_time_fetches_nothing_and_a_damaged_file_again(hub: Hub) -> None:
    folder = get(hub)
    hub.requests.clear()
    assert get(hub) == folder
    assert [request.path.partition("?")[0] for request in hub.requests] == [f"/api/models/{NAME}"]
    weights = folder / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1] + b"?")
    get(hub)
    assert weights.read_bytes() == WEIGHTS
    assert not hub.downloads("tokenizer.json")


def test_a_revision_and_a_folder_of_ones_own(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "mine"
    assert get(hub, revision=COMMIT, folder=target) == target
    assert (target / "model.safetensors").read_bytes() == WEIGHTS


def test_the_token_does_not_reach_the_store(hub: Hub) -> None:
    get(hub)
    sent = {request.host: request.headers.get("authorization") for request in hub.requests}
    assert sent == {"hub": "Bearer hf_a_token", "store": None}


def test_a_hub_that_sends_elsewhere_does_not_send_the_token(hub: Hub) -> None:
    """Also the list of files, not only their bytes; another port is another host."""
    hub.redirect = hub.store
    assert f"has no model {NAME}" in complaint(hub)
    sent = [(request.host, request.headers.get("authorization")) for request in hub.requests]
    assert sent == [("hub", "Bearer hf_a_token"), ("store", None)]


@pytest.mark.parametrize("path", ["api", "resolve"])
def test_a_file_on_this_machine_is_not_read(hub: Hub, path: str, tmp_path: Path) -> None:
    """A redirect to file:// for the list, or for the bytes of a file."""
    (tmp_path / "secret").write_text("secret")
    if path == "api":
        hub.redirect = f"file://{tmp_path}/secret?"
    else:
        hub.store = f"file://{tmp_path}/secret?"
    assert "cannot be reached" in complaint(hub)
    assert not any("secret" in text for text in _texts(Path("models")))


def _texts(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_text("utf-8", "replace")


def test_shards_come_with_their_index(hub: Hub) -> None:
    files = {
        "config.json": b"{}",
        "model.safetensors.index.json": b"{}",
        "model-00001-of-00002.safetensors": b"one",
        "model-00002-of-00002.safetensors": b"two",
        "consolidated.safetensors": b"the same again",
    }
    hub.repositories["org/large"] = Repository(files)
    found = there(get(hub, "org/large"))
    assert found.keys() - {".pulled.json"} == files.keys() - {"consolidated.safetensors"}


def test_one_gguf_file(hub: Hub) -> None:
    hub.repositories["org/packed"] = Repository(
        {"a-q4.gguf": b"GGUF4", "a-q8.gguf": b"GGUF8", "b-00001-of-00002.gguf": b"GGUF"}
    )
    said = complaint(hub, "org/packed")
    assert "--file: a-q4.gguf, a-q8.gguf" in said
    path = get(hub, "org/packed", file="a-q8.gguf")
    assert path == Path("models/org--packed/a-q8.gguf")
    assert path.read_bytes() == b"GGUF8"
    assert get(hub, "org/packed", file="a-q4.gguf").parent == path.parent
    assert "it has a-q4.gguf" in complaint(hub, "org/packed", file="missing.gguf")
    assert "one part of a GGUF" in complaint(hub, "org/packed", file="b-00001-of-00002.gguf")
    assert "takes the name of a .gguf" in complaint(hub, file="config.json")


# ---------------------------------------------------------------------- what goes wrong on the way


def test_a_cut_connection_goes_on_where_it_broke(hub: Hub) -> None:
    hub.faults["model.safetensors"] = [Fault(cut=1_000_000), Fault(cut=700_000)]
    folder = get(hub)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [request.headers.get("range") for request in hub.downloads("model.safetensors")]
    assert ranges == [None, "bytes=1000000-", "bytes=1700000-"]


def test_a_later_command_goes_on_where_an_earlier_one_broke(hub: Hub) -> None:
    hub.faults["model.safetensors"] = [Fault(cut=2_000_000)] + [Fault(status=503)] * 4
    said = complaint(hub)
    assert "answered 503" in said
    assert "the partial download is kept" in said
    folder = Path("models/org--small")
    assert not (folder / "model.safetensors").exists()
    hub.requests.clear()
    get(hub)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    (download,) = hub.downloads("model.safetensors")
    assert download.headers["range"] == "bytes=2000000-"
    assert not hub.downloads("tokenizer.json")
    assert there(folder).keys() == WANTED | {".pulled.json"}


def test_a_server_that_ignores_ranges_starts_over(hub: Hub) -> None:
    hub.faults["model.safetensors"] = [Fault(cut=1_000_000), Fault(no_range=True)]
    assert (get(hub) / "model.safetensors").read_bytes() == WEIGHTS


def test_errors_that_pass_are_tried_again(hub: Hub) -> None:
    hub.faults["config.json"] = [Fault(status=500), Fault(status=429)]
    hub.faults["model.safetensors"] = [Fault(status=502)]
    assert there(get(hub)).keys() == WANTED | {".pulled.json"}


def test_silence_counts_as_a_broken_connection(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "SILENCE", 0.2)
    hub.faults["model.safetensors"] = [Fault(cut=500_000, silence=0.6)]
    assert (get(hub) / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_wrong_digest_is_not_believed(hub: Hub, name: str) -> None:
    hub.faults[name] = [Fault(spoil=True)]
    said = complaint(hub)
    assert f"{name} arrived damaged" in said
    folder = Path("models/org--small")
    assert not (folder / name).exists()
    assert not list(folder.glob("*.part"))
    get(hub)
    assert (folder / name).read_bytes() == FILES[name]


def test_a_wrong_beginning_is_found_out_at_the_end(hub: Hub) -> None:
    hub.faults["model.safetensors"] = [Fault(cut=10, spoil=True)]
    assert "model.safetensors arrived damaged" in complaint(hub)


# ---------------------------------------------------------------------- what is refused


def test_no_such_repository_revision_or_access(hub: Hub) -> None:
    hub.repositories["org/gated"] = Repository({}, open_to="gated")
    hub.repositories["org/private"] = Repository({}, open_to="nobody")
    assert "accepting its terms" in complaint(hub, "org/gated")
    for name in ("org/missing", "org/private"):
        assert f"has no model {name}, or you have no access" in complaint(hub, name)
    assert "has no revision 'v9'" in complaint(hub, revision="v9")
    assert not Path("models").exists()


def test_a_hub_that_fails_or_is_none(hub: Hub) -> None:
    hub.listing_status = 500
    assert "answered 500" in complaint(hub)
    hub.listing_status = 200
    for body in (b"<html>please log in</html>", b"[]", b"null", b'{"sha": 1, "siblings": [{}]}'):
        hub.listing = body
        assert "does not answer as a Hugging Face Hub" in complaint(hub)


@pytest.mark.parametrize(
    "name",
    [
        "small",
        "org/",
        "/small",
        "org/small/more",
        "../etc",
        "org/..",
        "org/two--dashes",
        "org/small.git",
        "org/" + "x" * 100,
        "https://hub/org/small",
        "",
        "-x/y",
    ],
)
def test_what_is_no_name(hub: Hub, name: str) -> None:
    assert "write org/name" in complaint(hub, name)
    assert not hub.requests


def test_pickles_are_refused_with_the_reason(hub: Hub) -> None:
    hub.repositories["org/old"] = Repository(
        {"config.json": b"{}", "pytorch_model.bin": b"\x80\x04", "training_args.bin": b""}
    )
    said = complaint(hub, "org/old")
    assert "only as a pickle (pytorch_model.bin)" in said
    assert "can run any program" in said


def test_a_repository_without_weights_or_config(hub: Hub) -> None:
    hub.repositories["org/words"] = Repository({"README.md": b"hello"})
    hub.repositories["org/bare"] = Repository({"model.safetensors": b"abc"})
    assert "no weights that can be read" in complaint(hub, "org/words")
    assert "no config.json" in complaint(hub, "org/bare")


def test_paths_out_of_the_folder_are_not_followed(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["org/evil"] = Repository(
        dict(FILES) | {"../../config.json": b"evil", "/etc/model.safetensors": b"evil"}
    )
    get(hub, "org/evil")
    assert (tmp_path / "models/org--evil/config.json").read_bytes() == FILES["config.json"]
    assert not (tmp_path / "config.json").exists()


def test_an_occupied_folder_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("my own")
    assert "holds other files" in complaint(hub, folder=tmp_path / "mine")
    assert (tmp_path / "mine" / "config.json").read_text() == "my own"
    hub.repositories["org/other"] = Repository(dict(FILES))
    folder = get(hub)
    assert f"holds {NAME}" in complaint(hub, "org/other", folder=folder)
    (tmp_path / "file").write_text("")
    assert "is a file" in complaint(hub, folder=tmp_path / "file")


def test_a_full_disk_is_noticed_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(".")._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert "10 MB free and 70 MB are needed" in complaint(hub)
    assert not hub.downloads("model.safetensors")


def test_no_connection(hub: Hub) -> None:
    with pytest.raises(
        UserError, match=r"cannot be reached .* set HF_ENDPOINT .* copy its folder .*FOLDER$"
    ):
        pull(NAME, Silent(), endpoint="http://127.0.0.1:9")
    get(hub)
    with pytest.raises(UserError, match=r"models/org--small is here already"):
        pull(NAME, Silent(), endpoint="http://127.0.0.1:9")


# ---------------------------------------------------------------------- the command


def command(hub: Hub, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "glassmind", "pull", *arguments],
        env={**os.environ, "HF_ENDPOINT": hub.endpoint, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_prints_the_path_alone(hub: Hub) -> None:
    done = command(hub, NAME)
    assert (done.returncode, done.stdout) == (0, f"models{os.sep}org--small\n"), done.stderr
    done = command(hub, NAME, "--json")
    assert json.loads(done.stdout)["path"] == str(Path("models/org--small"))
    done = command(hub, NAME, HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert "HF_HUB_OFFLINE is set" in done.stderr
    assert "Traceback" not in done.stderr
    assert "torch" not in done.stderr


@pytest.mark.parametrize(
    "commit", ["../../../etc/passwd?x=", COMMIT[:-1], COMMIT.upper() + "G", ""]
)
def test_a_commit_that_is_none_goes_into_no_address(
    hub: Hub, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = huggingface_hub.HfApi.model_info

    def other(*args: Any, **options: Any) -> Any:
        info = real(*args, **options)
        info.sha = commit
        return info

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", other)
    with pytest.raises(UserError, match="does not answer as a Hugging Face Hub does"):
        get(hub)
    assert not hub.downloads(NAME)


def test_a_password_in_the_endpoint_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("http://me:secret@127.0.0.1:9", "http://me:sec@ret@127.0.0.1:9/x"):
        with pytest.raises(UserError) as refused:
            pull(NAME, Silent(), endpoint=address)
        assert "http://127.0.0.1:9" in str(refused.value)
        assert "sec" not in str(refused.value)


def test_the_hub_is_told_nothing_about_this_machine(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("CI", "1")
    get(hub)
    agents = {request.headers.get("User-Agent", "") for request in hub.requests}
    assert agents
    for agent in agents:
        assert {part.split("/")[0].strip() for part in agent.split(";")} <= {
            "glassmind", "hf_hub", "python", "unknown", "",
        }  # fmt: skip
