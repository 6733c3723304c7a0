"""Any words as a wake word, by a recogniser of its own that knows them and little else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hassil import TextChunk

from soripan.asr.recogniser import Recogniser, Transcript
from soripan.audio.frame import Frame
from soripan.config import WakeWordSettings
from soripan.nlu.templates import IntentTemplate, Origin, Template, Templates
from soripan.nlu.text import normalise
from soripan.wake.detector import WakeWord, WakeWordDetector

_LONGEST: Final = 10.0
"""Seconds without an endpoint after which the recogniser starts anew: what it remembers of the
sound grows with the time."""


def phrase_templates(language: str, phrases: Sequence[str], path: Path) -> Templates:
    """The sentences that the recogniser's graph is made from.

    Args:
        language: of the recogniser.
        phrases: what is to be heard.
        path: the file that has them, for errors.
    """
    origin = Origin(path, 0)
    sentences = (
        IntentTemplate("Wake", Template(TextChunk(phrase), origin, phrase), {})
        for phrase in phrases
    )
    return Templates(language, tuple(sentences), {}, {}, {}, frozenset())


class PhraseDetector(WakeWordDetector):
    """Hears phrases as soon as they are complete.

    Args:
        words: their settings; each with a phrase.
        recogniser: with a graph of the phrases, and other words to tell them from.
    """

    def __init__(self, words: Sequence[WakeWordSettings], recogniser: Recogniser) -> None:
        self._words = [(_letters(word.phrase), word) for word in words]
        self._recogniser = recogniser
        self._partial = ""
        self.reset()

    def reset(self) -> None:
        """Forget the sound so far."""
        self._rest_until = 0.0
        self._restart()

    def _restart(self) -> None:
        self._recogniser.start()
        self._began: float | None = None

    def process(self, frame: Frame) -> WakeWord | None:
        """Decode the frame; a phrase counts once the recogniser has written it at the end."""
        if self._began is None:
            self._began = frame.start
        transcript = self._recogniser.accept(frame.samples)
        if transcript is None:
            partial = self._recogniser.partial()
            if partial == self._partial:
                if frame.end - self._began > _LONGEST:
                    self._restart()
                return None
            self._partial = partial
            if not any(_letters(partial).endswith(phrase) for phrase, _ in self._words):
                return None
            # Only the end of an utterance has several readings to compare.
            transcript = self._recogniser.finish()
        self._restart()
        return self._judge(transcript, frame.end)

    def _judge(self, transcript: Transcript, now: float) -> WakeWord | None:
        """Whether enough of the readings end with a phrase."""
        readings = [(_letters(each.text), each.confidence) for each in transcript.alternatives]
        for phrase, word in self._words:
            score = sum(confidence for text, confidence in readings if text.endswith(phrase))
            if score >= word.threshold and score > 0 and now >= self._rest_until:
                self._rest_until = now + word.refractory
                return WakeWord(word.phrase, word.assistant, min(1.0, score), now)
        return None


def _letters(text: str) -> str:
    return normalise(text).replace(" ", "")
