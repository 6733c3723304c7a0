"""The panel's voice: says aloud what it says.

Nobody is interrupted: while somebody speaks to the panel, it waits. Who says the wake word
interrupts the panel.
"""

import logging
import math
import re
import threading
import time
from collections import deque
from typing import Final

from soripan.audio.loudspeaker import Loudspeaker, Sound
from soripan.audio.speech import Synthesiser
from soripan.events import (
    Action,
    Error,
    EventBus,
    Listening,
    Question,
    ReplyReady,
    RequestMade,
    TimerDone,
    Wake,
)

log = logging.getLogger(__name__)

LONGEST: Final = 600
"""Letters that are spoken of one answer, at most."""

WAITING: Final = 40
"""Sentences that may wait. More are dropped and logged."""

ECHO: Final = 0.3
"""Seconds after a sentence in which the microphone still hears it."""

NOTICED: Final = 1.0
"""Seconds after a sentence in which a wake word that is in it may still be noticed."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_END: Final = re.compile(r"(?<=[.!?。])\s+")


class Voice:
    """Speaks what is published on the bus, one sentence after the other.

    Args:
        bus: what to listen to.
        loudspeaker: where to speak.
        synthesiser: what with.
    """

    def __init__(self, bus: EventBus, loudspeaker: Loudspeaker, synthesiser: Synthesiser) -> None:
        self._loudspeaker = loudspeaker
        self._synthesiser = synthesiser
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._sound: Sound | None = None
        self._sentence = ""
        self._before = ""
        self._said = -math.inf
        self._listening = False
        bus.subscribe(Wake, lambda _: self.hush())
        bus.subscribe(Listening, lambda event: self._listen(event.state == "started"))
        bus.subscribe(Action, lambda event: self.say(event.speech))
        bus.subscribe(RequestMade, lambda event: self.say(event.speech))
        bus.subscribe(Question, lambda event: self.say(event.speech))
        bus.subscribe(ReplyReady, lambda event: self.say(event.speech))
        bus.subscribe(TimerDone, lambda event: self.say(event.speech))
        bus.subscribe(Error, lambda event: self.say(event.speech or ""))

    @property
    def speaking(self) -> bool:
        """Whether something is being said, is about to be, or can still be heard. What waits until
        nobody speaks to the panel does not count."""
        with self._lock:
            return self._sound is not None or time.monotonic() < self._said + ECHO

    @property
    def words(self) -> str:
        """What is being said, and what has just been; empty if neither."""
        with self._lock:
            now = self._sentence if self._sound is not None else ""
            before = self._before if time.monotonic() < self._said + NOTICED else ""
            return f"{before} {now}".strip()

    def say(self, text: str) -> None:
        """Say something soon. Returns at once. What is about to be said is not said twice: the
        question of an assistant comes as its reply and as a question."""
        with self._lock:
            for sentence in sentences(text):
                if sentence in self._waiting:
                    continue
                if self._sound is not None and sentence == self._sentence:
                    continue
                if len(self._waiting) == WAITING:
                    log.warning("not said, because too much is waiting: %s", sentence)
                    continue
                self._waiting.append(sentence)
        self._next()

    def hush(self) -> None:
        """Break off, and forget what was to be said."""
        with self._lock:
            self._waiting.clear()
            if self._sound is not None:
                self._sound.cancel()

    def _listen(self, listening: bool) -> None:
        with self._lock:
            self._listening = listening
        self._next()

    def _next(self) -> None:
        """Say what waits, unless somebody is speaking to the panel or it is speaking itself."""
        with self._lock:
            if self._listening or self._sound is not None or not self._waiting:
                return
            sentence = self._sentence = self._waiting.popleft()
            sound = Sound("speech", lambda: self._synthesiser.speak(sentence), self._done)
            self._sound = sound
        self._loudspeaker.play(sound)

    def _done(self, _: Sound) -> None:
        with self._lock:
            self._sound, self._before = None, self._sentence
            self._said = time.monotonic()
        self._next()


def sentences(text: str) -> list[str]:
    """The sentences of a text, as far as one can listen to it."""
    # espeak-ng takes what is in double brackets for phonemes.
    text = _CONTROL.sub(" ", text).replace("[[", "[ [").strip()
    if len(text) > LONGEST:
        end = max(text.rfind(mark, 0, LONGEST) for mark in ".!?。")
        text = text[: end + 1] if end > 0 else text[:LONGEST]
    return [sentence for sentence in _END.split(text) if sentence]
