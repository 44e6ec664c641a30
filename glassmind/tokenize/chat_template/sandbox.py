"""The script of the worker process in which chat templates run (see ``glassmind.worker``).

A chat template is part of a downloaded model and is a program in Jinja's language. Jinja's sandbox
denies it access to the machine, but does not prevent it from looping for ever or from building a
string of ten gigabytes; the limits of the process do that.

A template gets what ``transformers`` provides (``apply_chat_template``), because templates are
written for that: blocks leave no blank lines, ``break`` and ``continue``, ``raise_exception``,
``strftime_now``, a ``tojson`` that does not escape for HTML, and a ``generation`` block that only
marks which text is the model's. Jinja's immutable sandbox forbids attributes with underscores and
changes to the arguments.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
import jinja2.debug  # jinja2 imports it at the first error, when memory may be short
import jinja2.exceptions
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox


class _RaisedByTemplate(jinja2.TemplateError):
    """The template called ``raise_exception``."""


class _OutputTooLong(Exception):
    """The template wrote more than it may."""


class _GenerationBlock(jinja2.ext.Extension):
    """``{% generation %}...{% endgeneration %}`` stands for what is inside."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise _RaisedByTemplate(message)


def _to_json(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **how)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


_ENVIRONMENT = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, jinja2.ext.loopcontrols]
)
_ENVIRONMENT.filters["tojson"] = _to_json
_ENVIRONMENT.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
_compile = lru_cache(maxsize=8)(_ENVIRONMENT.from_string)


def _render(source: str, variables: dict[str, object], most: int) -> str:
    parts: list[str] = []
    length = 0
    for part in _compile(source).generate(**variables):
        length += len(part)
        if length > most:
            raise _OutputTooLong
        parts.append(part)
    return "".join(parts)


def answer(request: dict[str, Any]) -> dict[str, str]:
    """``{"text": ...}``, or ``{"failure": its kind, "message": ...}``."""
    try:
        return {"text": _render(request["source"], request["variables"], request["most"])}
    except _RaisedByTemplate as error:
        return {"failure": "raised", "message": str(error.message)}
    except jinja2.TemplateSyntaxError as error:
        return {"failure": "syntax", "message": f"line {error.lineno}: {error.message}"}
    except jinja2.exceptions.SecurityError as error:
        return {"failure": "unsafe", "message": str(error)}
    except _OutputTooLong:
        return {"failure": "long", "message": ""}
    except MemoryError:
        raise  # the worker says so, and is replaced
    except Exception as error:
        return {"failure": "other", "message": f"{type(error).__name__}: {error}"}
