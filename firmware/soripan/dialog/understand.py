"""From the readings of an utterance to what it means, or to the insight that it is no command."""

from dataclasses import dataclass
from typing import Final

from soripan.asr.recogniser import Transcript, Word
from soripan.nlu.intents import ANSWERS, Intent
from soripan.nlu.parser import Parser

CERTAIN_CONFIDENCE: Final = 0.6
CERTAIN_SECONDS: Final = 0.2
CERTAIN_CONTRAST: Final = 12.0
"""What it takes to be certain of a word: see :func:`is_certain`."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What was made of an utterance."""

    text: str
    """The reading that counts."""
    confidence: float
    """0..1. Of a command: the probability, among the readings, of those that mean the same. Of
    anything else: that of a word of the text, on average."""
    intent: Intent | None
    """None: it is no command."""
    seconds: float = 0.0
    """From the beginning of the first word to the end of the last."""


def understand(transcript: Transcript, parser: Parser, margin: float) -> Understood:
    """Choose between the readings.

    The likeliest command among them counts, unless one that is no command is likelier by more than
    ``margin``, in the unit of :attr:`Alternative.score`. The score is of sound and words together:
    the listening graph makes each way through the commands as costly as it is unlikely to be said,
    and open speech beside them, so that what is said decides.
    """
    parses = [(each, parser.parse(each.text)) for each in transcript.alternatives]
    best = max((each.score for each, _ in parses), default=0.0)
    for alternative, parse in parses:
        if parse is not None and alternative.score >= best - margin:
            agree = (a.confidence for a, p in parses if p and p.intent == parse.intent)
            words = alternative.words
            seconds = words[-1].end - words[0].start if words else 0.0
            return Understood(alternative.text, min(1.0, sum(agree)), parse.intent, seconds)
    return Understood(transcript.text, _word_confidence(transcript), None)


def is_certain(understood: Understood, contrast: float) -> bool:
    """Whether somebody said a short word, or a noise only sounded like it.

    What the recogniser makes of a noise is short, unsure, or no louder than what is around it.
    The limits are those of ``make bench ARGS="--part answers"``.

    Args:
        understood: what was heard.
        contrast: :attr:`soripan.dialog.session.Utterance.contrast`.
    """
    return (
        understood.confidence >= CERTAIN_CONFIDENCE
        and understood.seconds >= CERTAIN_SECONDS
        and contrast >= CERTAIN_CONTRAST
    )


def is_complete(text: str, parser: Parser, asked: bool = False) -> bool:
    """Whether a text is a command that means the same however it may go on.

    An answer to nothing is none: it is what breath and the end of a wake word sound like.

    Args:
        text: what was heard so far.
        parser: of the language.
        asked: whether there is a question.
    """
    intent = parser.settled(text)
    return intent is not None and (asked or intent.name not in ANSWERS)


def is_answer(transcript: Transcript, parser: Parser, margin: float) -> bool:
    """Whether an utterance only answers something."""
    intent = understand(transcript, parser, margin).intent
    return intent is not None and intent.name in ANSWERS


def _word_confidence(transcript: Transcript) -> float:
    """The mean, over the words of the likeliest reading, of the probability of the readings that
    have this word there too. That of the whole reading falls with its length."""
    if not transcript.alternatives:
        return 0.0
    likeliest, others = transcript.alternatives[0], transcript.alternatives
    agreed = [
        sum(other.confidence for other in others if any(_same(word, w) for w in other.words))
        for word in likeliest.words
    ]
    return min(1.0, sum(agreed) / len(agreed))


def _same(one: Word, other: Word) -> bool:
    """Whether two readings have the same word at the same time, in part at least."""
    return one.text == other.text and one.start <= other.end and other.start <= one.end
