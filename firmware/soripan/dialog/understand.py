"""From the readings of an utterance to what it means, or to the insight that it is no command."""

from dataclasses import dataclass

from soripan.asr.recogniser import Transcript
from soripan.nlu.intents import Intent
from soripan.nlu.parser import Parser


@dataclass(frozen=True, slots=True)
class Understood:
    """What was made of an utterance."""

    text: str
    """The reading that counts."""
    confidence: float
    """Probability among the readings of those that mean the same, 0..1."""
    intent: Intent | None
    """None: it is no command."""


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
            return Understood(alternative.text, min(1.0, sum(agree)), parse.intent)
    return Understood(transcript.text, transcript.confidence, None)
