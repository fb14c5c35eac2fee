"""Scores of texts by their words: SQuAD's exact match and F1, ROUGE-L, and containing.

Words are compared as SQuAD's evaluation script does (Rajpurkar et al. 2016), and DSPy:
in lower case, decomposed (NFD), without punctuation and without a, an, the.
"""

import re
import string
import unicodedata
from collections import Counter
from typing import Final

from streams.scores.common_parts import longest_common

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = dict.fromkeys(map(ord, string.punctuation))
_WORD: Final = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """Return the words of *text* as SQuAD compares them."""
    plain = unicodedata.normalize("NFD", text).lower().translate(_PUNCTUATION)
    return _ARTICLES.sub(" ", plain).split()


def normalized_match(answer: str, expected: str) -> float:
    """Return 1 if the words are the same: SQuAD's exact match."""
    return float(words_of(answer) == words_of(expected))


def f1(answer: str, expected: str) -> float:
    """Return SQuAD's F1: the harmonic mean of the shares of common words.

    Two texts without any words agree (as in SQuAD 2.0; DSPy calls that a 0).
    """
    ours, theirs = words_of(answer), words_of(expected)
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))


def rouge_l(answer: str, expected: str) -> float:
    """Return ROUGE-L (Lin 2004) with beta 1: F1 of the longest common subsequence.

    Words are runs of letters and digits in lower case; nothing is stemmed.

    Raises:
        TooLongError: there are too many of them.
    """
    ours, theirs = _WORD.findall(answer.lower()), _WORD.findall(expected.lower())
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * longest_common(ours, theirs) / (len(ours) + len(theirs))


def contains(answer: str, expected: str) -> float:
    """Return 1 if the words expected stand in the answer, side by side."""
    return float(
        f" {' '.join(words_of(expected))} " in f" {' '.join(words_of(answer))} "
    )


def exact_match(answer: str, expected: str) -> float:
    """Return 1 if both are the same text, character by character."""
    return float(answer == expected)
