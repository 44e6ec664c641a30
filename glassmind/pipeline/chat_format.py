"""How conversations are written for a model that is fine-tuned on them: its chat template, and the
token that ends an answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from glassmind.errors import UserError
from glassmind.interop.pretrained import Pretrained
from glassmind.pipeline.answer_ends import AnswerEnd
from glassmind.pipeline.convert import is_own
from glassmind.pipeline.tuning import tokenizer_of
from glassmind.runs.recipe import Recipe
from glassmind.tokenize.chat_template.template import MAX_SOURCE, ChatTemplate
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.special import ANSWER, END, QUESTION

# A conversation in this package's own special tokens.
OWN_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    f"{ANSWER}{{{{ message['content'] }}}}{END}"
    f"{{% else %}}{QUESTION}{{{{ message['content'] }}}}{{% endif %}}{{% endfor %}}"
    f"{{% if add_generation_prompt %}}{ANSWER}{{% endif %}}"
)


@dataclass(frozen=True)
class ChatFormat:
    """The template, its ``source``, and what ends an answer in it; ``tokenizer`` knows it, too."""

    source: str
    template: ChatTemplate
    end: AnswerEnd
    tokenizer: ComposedTokenizer

    @classmethod
    def of(cls, recipe: Recipe, started: Pretrained) -> ChatFormat:
        """The recipe's template, our own for our own models, else what the model brings.

        Raises:
            UserError: there is none, or its file cannot be read.
        """
        tokenizer = tokenizer_of(started)
        source = _source(recipe, started)
        facts = tokenizer.facts
        if source != started.chat_template:  # the other template goes with the one it brings
            facts = replace(facts, chat_template=source, tool_template=None)
        template = ChatTemplate.of(facts)
        end = AnswerEnd.of(template, tokenizer, started.stop_ids)
        return cls(source, template, end, replace(tokenizer, facts=facts))

    def applied(self, tuned: Pretrained) -> Pretrained:
        """The model with its template, and with what it has learned to end an answer with, named
        where programs look: first among the tokens that end a reply, and as its tokenizer's own."""
        tuned = replace(tuned, chat_template=self.source)
        if self.end.token_id is None:
            return replace(tuned, tokenizer=self.tokenizer)
        facts = replace(self.tokenizer.facts, eos_token=self.tokenizer.spelling(self.end.token_id))
        return replace(
            tuned,
            tokenizer=replace(self.tokenizer, facts=facts),
            stop_ids=tuned.stop_ids | {self.end.token_id},
        )


def _source(recipe: Recipe, started: Pretrained) -> str:
    if recipe.chats.template:
        path = Path(recipe.chats.template)
        try:
            source = path.read_text("utf-8")
        except OSError as error:
            raise UserError(f"chats.template: cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UserError(f"chats.template: {path} is not UTF-8 text") from None
        if not source.strip() or len(source) > MAX_SOURCE:
            raise UserError(f"chats.template: {path} must hold a Jinja chat template")
        return source
    if is_own(recipe.start):
        return OWN_TEMPLATE
    if started.chat_template is None:
        raise UserError(
            f"{recipe.start} has no chat template, since it was not made for conversations: give "
            "one, a Jinja file, by chats.template"
        )
    return started.chat_template
