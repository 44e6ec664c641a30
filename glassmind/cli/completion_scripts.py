"""Completion scripts for bash, zsh and fish.

``command_words`` reads the parser of a verb; the functions in ``SCRIPTS`` write the script of each
shell. If an option takes a value that is not one of a list, the shell completes file names.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from glassmind.cli.parser import actions_of, subparsers

PROGRAM = "glassmind"


@dataclass(frozen=True, slots=True)
class Option:
    """An option: its spellings, its help in one line, whether it takes a value, and the possible
    values (empty: any)."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A verb, or an action of a verb: its options, and its possible arguments."""

    name: str
    help: str
    options: tuple[Option, ...]
    words: tuple[str, ...]
    actions: tuple[Command, ...] = ()


def command_words(name: str, help: str, parser: argparse.ArgumentParser) -> Command:
    """The options, arguments and actions of a verb, read from its parser."""
    options, words, helps = [], list[str](), dict[str, str]()
    for action in actions_of(parser):
        values = tuple(str(value) for value in action.choices or ())
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: one.help or "" for one in action._get_subactions()}
        elif action.option_strings:
            takes = action.nargs != 0
            line = " ".join((action.help or "").replace("%%", "%").split())
            options.append(Option(tuple(action.option_strings), line, takes, values))
        else:
            words += values
    actions = tuple(
        command_words(word, helps.get(word, ""), one) for word, one in subparsers(parser).items()
    )
    return Command(name, help, tuple(options), tuple(words), actions)


# ------------------------------------------------------------------------------- bash


def bash_script(commands: Sequence[Command]) -> str:
    """A function that looks up the words so far in ``case`` statements."""
    values, words = list[str](), list[str]()
    for path, command in _paths(commands):
        for option in command.options:
            if option.values:
                pattern = "|".join(f'"{path} {name}"' for name in option.names)
                values.append(f"  {pattern}) found={shlex.quote(' '.join(option.values))} ;;")
        free = [o for o in command.options if o.takes_value and not o.values]
        if free:
            pattern = "|".join(f'"{path} {name}"' for option in free for name in option.names)
            values.append(f"  {pattern}) files=yes ;;")
        known = " ".join(n for option in command.options for n in option.names)
        plain = " ".join([*command.words, *(action.name for action in command.actions)])
        words.append(f'  "{path}") options={shlex.quote(known)} plain={shlex.quote(plain)} ;;')
    verbs = " ".join(command.name for command in commands)
    acting = "|".join(command.name for command in commands if command.actions) or "''"
    lines = [
        f"# Completion of {PROGRAM} for bash, written by: {PROGRAM} completion bash",
        "_glassmind() {",
        '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
        '  local path="${COMP_WORDS[1]}" found="" files="" options="" plain="" i',
        "  COMPREPLY=()",
        '  if [ "$COMP_CWORD" -eq 1 ]; then',
        f'    COMPREPLY=($(compgen -W {shlex.quote(verbs + " --help --version")} -- "$word"))',
        "    return",
        "  fi",
        '  case "$path" in',
        f"  {acting})",
        "    for ((i = 2; i < COMP_CWORD; i++)); do",
        '      case "${COMP_WORDS[i]}" in -*) ;; *) path="$path ${COMP_WORDS[i]}"; break ;; esac',
        "    done ;;",
        "  esac",
        '  case "$path" in',
        *words,
        "  esac",
        '  case "$path $before" in',
        *values,
        '  *) case "$word" in -*) found="$options" ;; *) found="$plain" ;; esac',
        '    if [ -z "$found" ]; then files=yes; fi ;;',
        "  esac",
        '  if [ -n "$files" ]; then',
        "    compopt -o filenames 2>/dev/null",
        '    mapfile -t COMPREPLY < <(compgen -f -- "$word")',
        "  else",
        '    COMPREPLY=($(compgen -W "$found" -- "$word"))',
        "  fi",
        "}",
        f"complete -F _glassmind {PROGRAM}",
    ]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------- zsh


def zsh_script(commands: Sequence[Command]) -> str:
    """A function for zsh's ``_describe`` and ``_arguments``."""
    lines = [
        f"#compdef {PROGRAM}",
        f"# Completion of {PROGRAM} for zsh, written by: {PROGRAM} completion zsh",
        "_glassmind() {",
        "  local -a verbs actions",
        "  verbs=(",
        *(f"    {_zsh_described(command)}" for command in commands),
        "  )",
        "  if (( CURRENT == 2 )); then",
        "    _describe verb verbs",
        "    return",
        "  fi",
        '  local verb="${words[2]}"',
        "  shift words; (( CURRENT-- ))",
        '  case "$verb" in',
    ]
    for command in commands:
        lines.append(f"  {command.name})")
        if command.actions:
            lines += [
                "    actions=(",
                *(f"      {_zsh_described(action)}" for action in command.actions),
                "    )",
                "    if (( CURRENT > 2 )); then",
                '      case "${words[2]}" in',
            ]
            for action in command.actions:
                lines.append(f"      {action.name})")
                lines.append("        shift words; (( CURRENT-- ))")
                lines.append(f"        _arguments {_zsh_arguments(action)}")
                lines.append("        return ;;")
            lines += ["      esac", "    fi", "    _describe action actions"]
        lines.append(f"    _arguments {_zsh_arguments(command)} ;;")
    lines += ["  esac", "}", 'if [ "$funcstack[1]" = "_glassmind" ]; then _glassmind "$@"']
    lines += [f"else compdef _glassmind {PROGRAM}; fi"]
    return "\n".join(lines) + "\n"


def _zsh_described(command: Command) -> str:
    return shlex.quote(f"{command.name}:{command.help}")


def _zsh_arguments(command: Command) -> str:
    """The options and arguments of a command in the form that ``_arguments`` takes."""
    specs = []
    for option in command.options:
        line = option.help.replace("\\", "").replace("[", "(").replace("]", ")").replace(":", " ")
        value = f":value:({' '.join(option.values)})" if option.values else ":value:_files"
        for name in option.names:
            specs.append(shlex.quote(f"*{name}[{line}]{value if option.takes_value else ''}"))
    specs.append(shlex.quote(f"*:word:({' '.join(command.words)})" if command.words
                             else "*:file:_files"))  # fmt: skip
    return " ".join(specs)


# ------------------------------------------------------------------------------- fish


def fish_script(commands: Sequence[Command]) -> str:
    """A ``complete`` line for every verb, action and option."""
    lines = [f"# Completion of {PROGRAM} for fish, written by: {PROGRAM} completion fish"]
    for command in commands:
        lines.append(
            f"complete -c {PROGRAM} -f -n __fish_use_subcommand -a {command.name} "
            f"-d {_fish_quoted(command.help)}"
        )
    for path, command in _paths(commands):
        verb, _, action = path.partition(" ")
        seen = f"__fish_seen_subcommand_from {verb}"
        if action:
            seen += f"; and __fish_seen_subcommand_from {action}"
        line = f"complete -c {PROGRAM} -n {_fish_quoted(seen)}"
        inner_names = " ".join(inner.name for inner in command.actions)
        first = f"{seen}; and not __fish_seen_subcommand_from {inner_names}"
        for inner in command.actions:
            lines.append(
                f"complete -c {PROGRAM} -f -n {_fish_quoted(first)} -a {inner.name} "
                f"-d {_fish_quoted(inner.help)}"
            )
        if command.words:
            lines.append(f"{line} -f -a {_fish_quoted(' '.join(command.words))}")
        for option in command.options:
            spelled = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            value = " -r" if option.takes_value else ""
            if option.values:
                value = f" -x -a {_fish_quoted(' '.join(option.values))}"
            lines.append(f"{line} {spelled}{value} -d {_fish_quoted(option.help)}")
    return "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    """Quote a text for fish, which has two escapes within single quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _paths(commands: Sequence[Command], before: str = "") -> Iterator[tuple[str, Command]]:
    """Every command with the words that lead to it: ``tokenizer``, ``tokenizer show``, ..."""
    for command in commands:
        path = f"{before}{command.name}"
        yield path, command
        yield from _paths(command.actions, f"{path} ")


SCRIPTS: Mapping[str, Callable[[Sequence[Command]], str]] = {
    "bash": bash_script,
    "zsh": zsh_script,
    "fish": fish_script,
}
