"""A model from the Hugging Face Hub, as a folder of plain files.

``pull`` asks the hub which files a repository has at a revision, chooses those that this package
reads, checks that the disk has room, and fetches them one by one. An interrupted download continues
where it stopped; a file gets its name only if its digest is the one that the hub announced; all
files come from one commit. Pickles are never fetched, since opening one can run any program.

``huggingface_hub`` is used for all requests except the bytes of the files, so its variables
HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE and its proxies work here. Its own download discards
partial files when it is interrupted.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import httpx2
import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    validate_repo_id,
)

from glassmind.errors import UserError
from glassmind.interop.pulled import MARK, PulledFrom, default_folder
from glassmind.interop.resumable import RemoteFile, fetch, is_there, part_of
from glassmind.printable import printable
from glassmind.progress import Progress
from glassmind.serialization import read_record, write_record

# Files to fetch in addition to the weights, if a repository has them.
COMPANIONS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "additional_chat_templates/tool_use.jinja",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "encoder.json",
    "vocab.bpe",
)
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLE = re.compile(r".*\.(bin|pt|pth|ckpt|pkl)")
_GGUF_PART = re.compile(r".*-\d{5}-of-\d{5}\.gguf")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")

# Otherwise each request tells the hub, whoever runs it, what is installed here and which known
# environment variables are set.
huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True

MOST_COMPANION = 64 << 20  # bytes; no reader here takes a larger one
MARGIN = 64 << 20  # bytes of disk to leave free
MEGABYTE = 1_000_000

Listing = Mapping[str, RemoteFile]


def pull(
    name: str,
    progress: Progress,
    *,
    revision: str | None = None,
    folder: Path | None = None,
    file: str | None = None,
    endpoint: str | None = None,
) -> Path:
    """Download the model ``org/name`` and return its folder, or, with ``file``, the one GGUF file.

    ``revision`` is a branch, tag or commit (default: the main branch). Files that are in ``folder``
    already, with the right digest, are not fetched again.

    Raises:
        UserError: the hub cannot be reached or refuses; there is no such repository, revision or
            file; the repository has no model that can be read here; a file arrived damaged; the
            folder has other files; the disk has no room.
    """
    _require_name(name)
    folder = folder or default_folder(name)
    _refuse_occupied(folder, name)
    with _in_plain_words(name, revision, folder, endpoint):
        commit, listing = _listing(name, revision, endpoint)
        chosen = _one_gguf(name, listing, file) if file else _readable(name, listing)
        targets = {folder / (PurePosixPath(p).name if file else p): listing[p] for p in chosen}
        for parent in {folder, *(target.parent for target in targets)}:
            parent.mkdir(parents=True, exist_ok=True)
        missing = {path: remote for path, remote in targets.items() if not is_there(path, remote)}
        _require_space(folder, missing)
        write_record(folder / MARK, PulledFrom(name, commit))
        if missing:
            _fetch_all(name, missing, endpoint, progress)
    return next(iter(targets)) if file else folder


def _require_name(name: str) -> None:
    try:
        validate_repo_id(name)
        is_name = _NAME.fullmatch(name) is not None
    except HFValidationError:
        is_name = False
    if not is_name:
        raise UserError(
            f"{name[:80]!r} is not the name of a repository: write org/name, "
            "for example HuggingFaceTB/SmolLM2-135M-Instruct"
        )


# ------------------------------------------------------------------------------ which files


def _listing(name: str, revision: str | None, endpoint: str | None) -> tuple[str, Listing]:
    """The commit that ``revision`` refers to, and all its files with size and digest."""
    api = huggingface_hub.HfApi(endpoint=endpoint)
    try:
        info = api.model_info(name, revision=revision, files_metadata=True, timeout=30)
        commit = str(info.sha)
        if not _COMMIT.fullmatch(commit):  # it becomes a part of the files' addresses
            raise ValueError("that is no commit")
        files = {}
        for entry in info.siblings or ():
            size = entry.lfs.size if entry.lfs else entry.size
            digest = (entry.lfs.sha256 if entry.lfs else entry.blob_id) or ""
            if isinstance(size, int) and size >= 0 and _DIGEST.fullmatch(digest):
                url = huggingface_hub.hf_hub_url(
                    name, entry.rfilename, revision=commit, endpoint=endpoint
                )
                files[entry.rfilename] = RemoteFile(url, size, digest)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(
            f"{shown_endpoint(api.endpoint)} does not answer as a Hugging Face Hub does; check "
            "HF_ENDPOINT, and whether a proxy or a login page is in between"
        ) from None
    return commit, files


def _readable(name: str, listing: Listing) -> list[str]:
    """The files of a model in safetensors: weights, config and tokenizer."""
    weights = [WHOLE] if WHOLE in listing else []
    if not weights and INDEX in listing:
        weights = [INDEX, *sorted(filter(_SHARD.fullmatch, listing))]
    if not weights:
        raise _no_weights(name, listing)
    if "config.json" not in listing:
        raise UserError(f"{name} has weights but no config.json, which describes the model")
    companions = [path for path in COMPANIONS if path in listing]
    for path in (*companions, *(path for path in weights if path == INDEX)):
        if listing[path].size > MOST_COMPANION:
            raise UserError(
                f"{name} has a {path} of {listing[path].size / MEGABYTE:,.0f} MB, too large for "
                "what it is"
            )
    return companions + weights


def _no_weights(name: str, listing: Listing) -> UserError:
    ggufs = sorted(path for path in listing if path.endswith(".gguf"))
    if ggufs:
        more = f" and {len(ggufs) - 8} more" if len(ggufs) > 8 else ""
        return UserError(
            f"{name} holds GGUF files; choose one with --file: {', '.join(ggufs[:8])}{more}"
        )
    pickle = next((path for path in sorted(listing) if _PICKLE.fullmatch(path)), None)
    if pickle:
        return UserError(
            f"{name} has its weights only as a pickle ({pickle}), which can run any program when "
            "it is opened and is never fetched; look among its pull requests for a copy in "
            "safetensors (--revision refs/pr/1), or convert it where you trust it"
        )
    return UserError(f"{name} has no weights that can be read here: no {WHOLE} and no .gguf file")


def _one_gguf(name: str, listing: Listing, file: str) -> list[str]:
    if not file.endswith(".gguf"):
        raise UserError(f"--file takes the name of a .gguf file, not {file[:80]!r}")
    if file not in listing:
        ggufs = sorted(path for path in listing if path.endswith(".gguf"))
        there = f"it has {', '.join(ggufs[:8])}" if ggufs else "it has no .gguf file at all"
        raise UserError(f"{name} has no file {file[:80]!r}; {there}")
    if _GGUF_PART.fullmatch(file):
        raise UserError(f"{file} is one part of a GGUF in several; only whole ones are read")
    return [file]


# ------------------------------------------------------------------------------ the folder


def _refuse_occupied(folder: Path, name: str) -> None:
    """Refuse a folder that contains other files, so that a model is never mixed with them."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder with --to")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        repository = read_record(PulledFrom, folder / MARK).repository
    except UserError:
        repository = None
    if repository != name:
        holds = f"holds {repository}" if repository else "holds other files"
        raise UserError(f"{folder} {holds}; name another folder with --to")


def _require_space(folder: Path, missing: Mapping[Path, RemoteFile]) -> None:
    needed = 0
    for path, remote in missing.items():
        part = part_of(path, remote)
        needed += remote.size - (part.stat().st_size if part.is_file() else 0)
    free = shutil.disk_usage(folder).free
    if missing and free < needed + MARGIN:
        raise UserError(
            f"the disk of {folder} has {free / MEGABYTE:,.0f} MB free and "
            f"{(needed + MARGIN) / MEGABYTE:,.0f} MB are needed; make room or name another "
            "folder with --to"
        )


def _fetch_all(
    name: str, missing: Mapping[Path, RemoteFile], endpoint: str | None, progress: Progress
) -> None:
    headers = build_hf_headers(library_name="glassmind")
    total = sum(remote.size for remote in missing.values())
    progress.start(name.partition("/")[2], _megabytes(total), "MB")
    try:
        arrivals = _Arrivals(progress)
        for path, remote in missing.items():
            fetch(remote, path, headers, arrivals)
            arrivals.before += remote.size
    finally:
        progress.end()


class _Arrivals:
    """Reports the megabytes of all files together, and their rate, to ``progress``.

    It is called with the bytes of the current file; ``before`` are those of the files before it.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.before = 0
        self.first: tuple[float, int] | None = None  # so that earlier attempts do not count

    def __call__(self, done: int) -> None:
        done += self.before
        now = time.monotonic()
        self.first = self.first or (now, done)
        seconds, n_bytes = now - self.first[0], done - self.first[1]
        rate = {"megabytes_per_second": n_bytes / MEGABYTE / seconds} if seconds > 0.5 else {}
        self.progress.update(_megabytes(done), **rate)


def _megabytes(n_bytes: int) -> int:
    return -(-n_bytes // MEGABYTE)


# ------------------------------------------------------------------------------ what went wrong


@contextmanager
def _in_plain_words(
    name: str, revision: str | None, folder: Path, endpoint: str | None
) -> Iterator[None]:
    """Turn errors of the hub, the network and the library into one sentence with a remedy."""
    address = huggingface_hub.HfApi(endpoint=endpoint).endpoint
    hub = shown_endpoint(address)
    try:
        yield
    except OfflineModeIsEnabled:
        raise UserError(
            f"HF_HUB_OFFLINE is set, so nothing is downloaded: unset it, or {_by_hand(folder)}"
        ) from None
    except GatedRepoError:
        raise UserError(
            f"{name} is available only after accepting its terms: do so at {hub}/{name}, then sign "
            "in with `hf auth login` or set HF_TOKEN"
        ) from None
    except RevisionNotFoundError:
        raise UserError(
            f"{name} has no revision {revision!r}; its branches and tags are at {hub}/{name}"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403, 404):
            raise UserError(
                f"{hub} has no model {name}, or you have no access to it (it answered {status}): "
                "check the spelling, or, if it is private, sign in with `hf auth login` or set "
                "HF_TOKEN"
            ) from None
        raise UserError(
            f"{hub} answered {status} ({printable(error.response.reason_phrase[:80])}) for {name}: "
            f"try again later{_kept(folder)}"
        ) from None
    except httpx2.HTTPError as error:
        said = printable(str(error).replace(address, hub)).strip()
        reason = said.splitlines()[0][:120] if said else "no answer"
        raise UserError(
            f"{hub} cannot be reached ({reason}): check the connection, set HF_ENDPOINT to a hub "
            f"that can, or {_by_hand(folder)}{_kept(folder)}"
        ) from None


def shown_endpoint(address: str) -> str:
    """A hub's address without the user's name and password that may stand in it."""
    before, slashes, rest = address.rpartition("//")
    host, slash, path = rest.partition("/")
    return printable(f"{before}{slashes}{host.rpartition('@')[2]}{slash}{path}")


def _kept(folder: Path) -> str:
    if not any(folder.glob(".*.part")):
        return ""
    return "; the partial download is kept, and the same command continues it"


def _by_hand(folder: Path) -> str:
    there = f"; {folder} is here already" if (folder / "config.json").is_file() else ""
    return (
        "run the same command where there is a connection and copy its folder here, for use as "
        f"--model FOLDER{there}"
    )
