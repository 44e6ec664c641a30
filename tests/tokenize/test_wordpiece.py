from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.interop.tokenizers.tokenizer_json import read_tokenizer_json
from glassmind.interop.tokenizers.write_tokenizer_json import write_tokenizer_json
from glassmind.tokenize import SPECIAL_IDS, SPECIAL_TOKENS
from glassmind.tokenize.composed.train_wordpiece import count_words, train_wordpiece
from glassmind.tokenize.composed.wordpiece import WordPiece

# --- encoding


def test_the_longest_token_that_fits_comes_first() -> None:
    words = ["[UNK]", "un", "##aff", "##able", "##a", "able", "##ffable", "u"]
    model = WordPiece({word: token_id for token_id, word in enumerate(words)})
    assert model.encode_piece("unaffable") == [1, 2, 3]  # not un ##a ##ffable
    assert model.encode_piece("able") == [5]
    assert model.encode_piece("unable") == [1, 3]
    assert model.encode_piece("unabl") == [0]
    assert model.encode_piece("") == []
    with pytest.raises(ValueError, match="unknown token"):
        WordPiece({"a": 0})


@given(st.data())
def test_ids_are_those_of_the_reference(data: st.DataObject) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    text = st.text(alphabet="ab#é😀", min_size=1, max_size=4)
    prefix = data.draw(st.sampled_from(["##", "", "é"]))
    longest = data.draw(st.sampled_from([0, 3, 100]))
    tokens = data.draw(st.lists(text | text.map(prefix.__add__), unique=True))
    vocab = {token: i for i, token in enumerate(dict.fromkeys(["?", *tokens]))}
    theirs = tokenizers.models.WordPiece(
        vocab, unk_token="?", continuing_subword_prefix=prefix, max_input_chars_per_word=longest
    )
    ours = WordPiece(vocab, "?", prefix, longest)
    for word in data.draw(st.lists(st.text(alphabet="ab#é😀", min_size=1, max_size=12))):
        assert ours.encode_piece(word) == [token.id for token in theirs.tokenize(word)]


# --- training


def plain_train(word_counts: Counter[str], n_tokens: int) -> list[str]:
    """The textbook loop: score every pair anew, join the best one, smallest ids first."""
    alphabet = sorted(set("".join(word_counts)))
    tokens = alphabet + ["##" + character for character in alphabet]
    split = {word: [word[0], *("##" + c for c in word[1:])] for word in word_counts}
    while len(tokens) < n_tokens:
        singles: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for part in parts:
                singles[part] += word_counts[word]
            for pair in itertools.pairwise(parts):
                pairs[pair] += word_counts[word]
        total = sum(singles.values())
        score = {
            (a, b): count * math.log(total * count / (singles[a] * singles[b]))
            for (a, b), count in pairs.items()
        }
        gaining = [pair for pair in pairs if score[pair] > 0]
        if not gaining:
            break
        best = min(gaining, key=lambda p: (-score[p], tokens.index(p[0]), tokens.index(p[1])))
        merged = best[0] + best[1].removeprefix("##")
        tokens.append(merged)
        for parts in split.values():
            at = 0
            while at < len(parts) - 1:
                if (parts[at], parts[at + 1]) == best:
                    parts[at : at + 2] = [merged]
                at += 1
    return tokens


def learned(texts: list[str], n_tokens: int) -> list[str]:
    first = [*SPECIAL_TOKENS, "[UNK]"]
    vocab = list(train_wordpiece(texts, n_tokens + len(first)).model.vocab)
    assert vocab[: len(first)] == first
    return vocab[len(first) :]


def test_the_vocabulary_is_that_of_the_plain_loop(stories: list[str]) -> None:
    texts = [*stories[:80], "aaaa aaaaa aaaaaaa abababab (q) qu"]
    tokens = learned(texts, 260)
    assert len(tokens) == 260
    assert tokens == plain_train(count_words(texts), 260)


def test_ties_and_overlaps_are_those_of_the_plain_loop() -> None:
    rng = random.Random(0)
    stopped_early = 0
    for _ in range(200):  # few letters and small counts: nearly every decision is a tie
        letters = "abcd"[: rng.randint(1, 4)]
        words = ("".join(rng.choices(letters, k=rng.randint(1, 30))) for _ in range(8))
        texts = [" ".join(words)]
        n_tokens = 8 + rng.randint(0, 60)
        tokens = learned(texts, n_tokens)
        assert tokens == plain_train(count_words(texts), n_tokens), texts
        stopped_early += len(tokens) < n_tokens
    assert stopped_early > 5


def test_frequent_pairs_that_meet_by_chance_wait() -> None:
    """'qu' occurs less often than 'th' here, but q is never without u."""
    texts = ["th " * 30 + "ta te to ah eh oh " * 40 + "que qua quo " * 9]
    tokens = [token for token in learned(texts, 40) if len(token.removeprefix("##")) > 1]
    assert tokens.index("qu") < tokens.index("th")


def test_words_are_counted_as_the_encoder_cuts_them(stories: list[str]) -> None:
    text = "Don't\u3000stop,\x0bnow!\r\n 中文字\x00x 'tis\u2028 \ufffd e\u0301"
    text += "".join(stories[:20])
    tokenizer = train_wordpiece([text], 300)
    assert count_words([text]) == Counter(tokenizer.pieces(text))
    assert count_words(["ab\ud800 é " + "x" * 101]) == {"ab": 1, "é": 1}


def test_no_word_of_known_characters_is_unknown(stories: list[str]) -> None:
    tokenizer = train_wordpiece(stories, 400)
    rng = random.Random(1)
    letters = sorted(set("".join(count_words(stories))) - set("'.,?:*="))
    for _ in range(200):
        words = ["".join(rng.choices(letters, k=rng.randint(1, 20))) for _ in range(5)]
        text = " ".join(words)
        assert tokenizer.decode(tokenizer.encode(text)) == text
    sentence = "Tom has 12 boxes. How many does Zoé have?"
    assert tokenizer.decode(tokenizer.encode(sentence)) == sentence
    assert tokenizer.encode("Tom 😀") == [*tokenizer.encode("Tom"), tokenizer.special["[UNK]"]]


def test_the_file_gives_the_same_ids_in_the_reference(tmp_path: Path, stories: list[str]) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = train_wordpiece(stories, 400)
    path = tmp_path / "tokenizer.json"
    write_tokenizer_json(tokenizer, path)
    theirs = tokenizers.Tokenizer.from_file(str(path))
    theirs.encode_special_tokens = True
    texts = [*stories[:50], "Unbekannt 😀 <|end|> [UNK] 中 Zoé\x00 12*3=36", "x" * 200, ""]
    for text in texts:
        ids = tokenizer.encode(text)
        assert ids == theirs.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids) == theirs.decode(ids)
    again = read_tokenizer_json(path)
    assert again.encode_batch(texts) == tokenizer.encode_batch(texts)
    assert tokenizer.special.items() >= SPECIAL_IDS.items()


def test_impossible_vocabulary_sizes_are_refused() -> None:
    for size in (-1, 0, 8 + 2 * 3 - 1, 10**7):
        with pytest.raises(UserError, match=r"between 14 .* 3 characters"):
            train_wordpiece(["abc cab"], size)
    assert train_wordpiece(["abc cab"], 14).vocab_size == 14


def test_progress_is_told_of_every_token() -> None:
    said: list[object] = []

    class Watcher:
        def start(self, stage: str, total: int, unit: str = "steps") -> None:
            said.append((total, unit))

        def update(self, done: int, **figures: float) -> None:
            said.append(done)

        def end(self, summary: str = "") -> None:
            said.append(summary)

    train_wordpiece(["abc abc"], 16, Watcher())
    assert said == [(16, "tokens"), 15, 16, "16 tokens from 1 distinct words"]
