"""Speech to text with Vosk."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from soripan.audio.frame import SAMPLE_RATE, Samples
from soripan.exc import ModelError


@dataclass(frozen=True, slots=True)
class Word:
    """A recognised word."""

    text: str
    start: float
    """Seconds of sound since :meth:`Recogniser.start`."""
    end: float


@dataclass(frozen=True, slots=True)
class Alternative:
    """One reading of an utterance."""

    words: tuple[Word, ...]
    confidence: float
    """Its probability among the readings, 0..1."""
    score: float = 0.0
    """Log-likelihood of sound and words together. Only differences between the readings of one
    utterance mean something."""

    @property
    def text(self) -> str:
        """The words with spaces between them, as the lexicon splits them."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood of an utterance."""

    alternatives: tuple[Alternative, ...]
    """Readings, the likeliest first; none if nothing was said."""

    @property
    def text(self) -> str:
        """The likeliest reading."""
        return self.alternatives[0].text if self.alternatives else ""

    @property
    def confidence(self) -> float:
        """The confidence of the likeliest reading; 0 if there is none."""
        return self.alternatives[0].confidence if self.alternatives else 0.0

    def after(self, moment: float) -> "Transcript":
        """The transcript without the words spoken before a moment (by the middle of each word).

        Readings that become the same are one, with their confidences added up. If the likeliest
        then has no words, none is left.
        """
        merged: dict[str, Alternative] = {}
        for alternative in self.alternatives:
            words = tuple(w for w in alternative.words if (w.start + w.end) / 2 >= moment)
            text = " ".join(word.text for word in words)
            if (same := merged.get(text)) is None:
                merged[text] = replace(alternative, words=words)
            else:
                together = same.confidence + alternative.confidence
                score = max(same.score, alternative.score)
                merged[text] = Alternative(same.words, together, score)
        ranked = sorted(merged.values(), key=lambda a: a.confidence, reverse=True)
        if not ranked or not ranked[0].words:
            return Transcript(())
        return Transcript(tuple(each for each in ranked if each.words))


class Recogniser:
    """One Vosk model and the decoding of one utterance after another.

    Args:
        model: folder of a Vosk model.
        alternatives: how many readings to give.

    Raises:
        ModelError: the folder is no Vosk model.
    """

    def __init__(self, model: Path, alternatives: int) -> None:
        # Imported here: `soripan say` needs no recogniser.
        import vosk  # noqa: PLC0415

        vosk.SetLogLevel(-1)
        try:
            self._model = vosk.Model(str(model))
        except Exception as error:  # vosk raises plain Exception
            raise ModelError(
                f"{model}: is not a Vosk model, or is damaged (try: soripan models verify)"
            ) from error
        self._recogniser_class = vosk.KaldiRecognizer
        self._alternatives = alternatives
        self.start()

    def start(self) -> None:
        """Begin with a clean slate: the adaptation to the last speaker is forgotten."""
        self._recogniser: Any = self._recogniser_class(self._model, SAMPLE_RATE)
        self._recogniser.SetWords(True)
        self._recogniser.SetMaxAlternatives(self._alternatives)

    def accept(self, samples: Samples) -> Transcript | None:
        """Take more sound; return the transcript when the utterance is over (endpoint found)."""
        if self._recogniser.AcceptWaveform(samples.tobytes()):
            return _transcript(self._recogniser.Result())
        return None

    def partial(self) -> str:
        """What has been understood of the utterance so far."""
        # Vosk leaves it out after an endpoint, which comes after five seconds of silence too.
        return str(json.loads(self._recogniser.PartialResult()).get("partial", ""))

    def finish(self) -> Transcript:
        """End the utterance now."""
        return _transcript(self._recogniser.FinalResult())

    def find_word(self, word: str) -> int | None:
        """The id of a word in the lexicon, or None."""
        found: int = self._model.vosk_model_find_word(word)
        return found if found >= 0 else None


def _transcript(result: str) -> Transcript:
    """Read Vosk's JSON.

    With alternatives, "confidence" is a total log-likelihood, so only differences mean something;
    their softmax is the probability among the readings listed.
    """
    raw = json.loads(result).get("alternatives", [])
    # The likeliest reading may be that nothing was said, even if words are among the others.
    if not raw or not raw[0]["text"].strip():
        return Transcript(())
    best = max(alternative["confidence"] for alternative in raw)
    weights = [math.exp(alternative["confidence"] - best) for alternative in raw]
    alternatives = (
        Alternative(
            tuple(Word(w["word"], w["start"], w["end"]) for w in alternative.get("result", ())),
            weight / sum(weights),
            alternative["confidence"],
        )
        for alternative, weight in zip(raw, weights, strict=True)
        if alternative["text"].strip()
    )
    return Transcript(tuple(sorted(alternatives, key=lambda a: a.confidence, reverse=True)))
