"""The entry point of the command line: find the verb, run it, turn errors into sentences.

Exit codes: 0 success; 2 an error of the user or the system, explained in one sentence on standard
error; 130 interrupted with Ctrl-C; 141 the reader of the output closed the pipe. A traceback
appears only for a bug in Glassmind, or for any error with GLASSMIND_DEBUG=1.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from glassmind import __version__
from glassmind.cli.parser import Parser, parser_of
from glassmind.errors import UserError
from glassmind.machine import wait_asleep
from glassmind.printable import printable

# In the order in which a new user needs them; each is the file of that name in this folder.
VERBS: dict[str, str] = {
    "demo": "train the small ladder from random weights and write its report",
    "train": "run a recipe: a shipped one by its name, or your own TOML file",
    "ladder": "run the ladder of methods on generated problems or on your own",
    "ask": "answer a question, and show the steps, the votes and the scores",
    "chat": "talk with a model in the terminal",
    "sample": "continue a text with a language model",
    "serve": "answer over HTTP, as OpenAI's API does, with a chat page",
    "classify": "label texts with a classifier you trained",
    "eval": "grade a model on a task such as gsm8k",
    "regrade": "grade stored answers by another grader, and see where two disagree",
    "judge": "have a model judge which of several models answers better",
    "check": "find the first wrong step of a written solution, and why it is wrong",
    "frontier": "draw accuracy against tokens and seconds for many methods",
    "laboratory": "show what GRPO, RLOO, PPO and others estimate, against the true gradient",
    "methods": "the methods of answering: what each does and needs",
    "report": "write the report of a run again",
    "explain": "explain the loss of a training step, token by token",
    "compare": "compare training runs: settings, losses and curves",
    "pull": "download a model from the Hugging Face Hub",
    "convert": "convert a model to another format: Hugging Face, GGUF, a PEFT adapter",
    "export": "another name of convert",
    "models": "published architectures: what they cost, what each changed, and why",
    "scaling": "train several depths, and fit loss against compute",
    "plan": "what training on many GPUs needs: memory, traffic, time",
    "tokenizer": "train a tokenizer, or show how one splits a text",
    "data": "make, inspect and check problems; filter a text to pretrain on",
    "doctor": "check this machine and this installation",
    "completion": "have the shell complete verbs and options: bash, zsh or fish",
    "help": "explain a verb, or a word such as rung or slice",
    "version": "print the version",
}

# The verbs that can run in several processes under torchrun.
SHARED = ("train",)

EXIT_DONE, EXIT_USER_ERROR, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 0, 2, 130, 141

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "no such file or folder",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "a link leads back to itself",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's own) and return its exit code."""
    wait_asleep()
    if not _open_streams():
        return _fail("standard output is closed, so the result cannot be written")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show an arrow shows a "?"
            stream.reconfigure(errors="replace")
    args: argparse.Namespace | None = None
    try:
        verb, rest = _choose(list(sys.argv[1:] if argv is None else argv))
        module = module_of(verb)
        args = parser_of(verb, module).parse(rest)
        if verb not in SHARED:
            _refuse_company(verb)
        code = int(module.run(args))
        sys.stdout.flush()  # here a closed pipe can still be handled silently
        return code
    except SystemExit as stop:  # argparse: help and version are 0, a wrong option is 2
        return stop.code if isinstance(stop.code, int) else EXIT_USER_ERROR
    except KeyboardInterrupt:
        _debug_traceback()
        resume = "; the same command with --resume continues" if hasattr(args, "resume") else ""
        print(f"glassmind: interrupted{resume}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output once more at exit; discard that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except UserError as error:
        return _fail(str(error))
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        return _fail(_os_sentence(error, args))
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        around = error.object[max(0, error.start - 20) : error.end + 20]
        return _fail(f"{around!a} holds bytes that are not UTF-8 text")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "glassmind"):
            raise
        return _fail(
            f"this command needs the Python package {package!r}, which is not installed here; "
            f"install Glassmind again, or that package"
        )


def _open_streams() -> bool:
    """Whether standard output can be written to; also opens any stream that is missing.

    Python sets a stream to ``None`` if the shell closed it (``>&-``). Its file descriptor would
    then be given to the next file that is opened, and a subprocess would write its output there.
    """
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:
        mode = "r" if name == "stdin" else "w"
        number = ("stdin", "stdout", "stderr").index(name)
        handle = os.open(os.devnull, os.O_RDONLY if name == "stdin" else os.O_WRONLY)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
    return "stdout" not in closed


def overview() -> Parser:
    """The parser for arguments before the verb; its help lists the verbs."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {line}" for verb, line in VERBS.items())
    parser = Parser(
        prog="glassmind",
        usage="glassmind VERB [options]   (glassmind VERB --help lists them)",
        description="A reasoning language model you can see through.",
        epilog=f"verbs:\n{verbs}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"glassmind {__version__}")
    return parser


def module_of(verb: str) -> ModuleType:
    """The module of a verb.

    Raises:
        UserError: there is no such verb.
    """
    if verb not in VERBS:
        close = difflib.get_close_matches(verb[:40], VERBS, n=1, cutoff=0.5)
        remedy = f"did you mean {close[0]}?" if close else f"it is one of: {', '.join(VERBS)}"
        if any(character.isspace() for character in verb.strip()):
            remedy = "to ask a question, use glassmind ask"
        raise UserError(f"there is no verb {verb[:40]!r}; {remedy}")
    return importlib.import_module(f"glassmind.cli.{verb}")


def _choose(argv: list[str]) -> tuple[str, list[str]]:
    """Return the verb and its arguments; without a verb, print help or version, or exit."""
    parser = overview()
    verb = next((word for word in argv if not word.startswith("-")), None)
    if verb is None:
        parser.parse(argv)
        parser.print_help(sys.stdout)
        raise SystemExit(EXIT_DONE)
    place = argv.index(verb)
    parser.parse(argv[:place])
    return verb, argv[place + 1 :]


def _refuse_company(verb: str) -> None:
    """Refuse several processes: each would do all of the work in the same folder.

    The first one prints the error. The others exit with success, because torchrun stops all
    processes when one fails, perhaps before the first has printed.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return
    if os.environ.get("RANK", "0") != "0":
        raise SystemExit(EXIT_DONE)
    raise UserError(
        f"torchrun started {os.environ['WORLD_SIZE']} processes, but {verb} runs in one: run "
        f"glassmind {verb} without torchrun (it is only for glassmind {' and '.join(SHARED)})"
    )


def _os_sentence(error: OSError, args: argparse.Namespace | None) -> str:
    """The operating system's error as a sentence, without a path if it was a failed write."""
    path = error.filename if isinstance(error.filename, (str, os.PathLike)) else None
    where = path or getattr(args, "run_folder", None) or Path.cwd()
    remedy = "; make room and run it again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{os.fspath(where)}: {_REASONS[error.errno or 0]}{remedy}"


def _fail(sentence: str) -> int:
    _debug_traceback()
    print(f"glassmind: error: {printable(sentence)}", file=sys.stderr)
    return EXIT_USER_ERROR


def _debug_traceback() -> None:
    if os.environ.get("GLASSMIND_DEBUG") == "1":
        traceback.print_exc()


if __name__ == "__main__":
    sys.exit(main())
