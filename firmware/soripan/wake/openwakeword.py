"""Wake words by openWakeWord, in ONNX mode."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soripan.audio.frame import FRAME_SAMPLES, Frame
from soripan.config import WakeWordSettings
from soripan.exc import ModelError
from soripan.wake.detector import Trigger, WakeWord, WakeWordDetector

FEATURE_MODELS = ("melspectrogram", "embedding_model")
"""The models that all wake words share."""

_FEATURES_MEMORY = 16 + 10
"""Frames until openWakeWord has forgotten the random noise that it starts from: a word model looks
at 16 embeddings of a frame each, and an embedding at 76 spectrum columns, 8 to a frame."""

_SOUND_MEMORY = FRAME_SAMPLES + 3 * 160
"""Samples that a frame's spectrum is made from: itself, and three columns before it."""


class OpenWakeWordDetector(WakeWordDetector):
    """Several wake words at once, sharing one feature extractor.

    Args:
        words: the settings of each word.
        word_models: the ONNX file of each word, in the same order.
        melspectrogram: ONNX file of the spectrum.
        embedding: ONNX file of the speech embedding.

    Raises:
        ModelError: a file is not the model it should be.
    """

    def __init__(
        self,
        words: Sequence[WakeWordSettings],
        word_models: Sequence[Path],
        melspectrogram: Path,
        embedding: Path,
    ) -> None:
        # Imported here: it takes a second or more on a Pi, and `soripan say` needs none of it.
        from openwakeword.model import Model  # noqa: PLC0415

        try:
            self._model = Model(
                wakeword_models=[str(path) for path in word_models],
                inference_framework="onnx",
                melspec_model_path=str(melspectrogram),
                embedding_model_path=str(embedding),
            )
        except Exception as error:  # onnxruntime has no base class of its own for these
            raise ModelError(
                f"the wake-word models cannot be loaded: {error} (try: soripan models verify)"
            ) from error
        # It keeps ten seconds of sound and copies them at every frame, to look at the last 1,760
        # samples: a third of all its work.
        self._model.preprocessor.raw_data_buffer = deque(maxlen=_SOUND_MEMORY)
        self._names = [path.stem for path in word_models]
        self._words = list(words)
        self._triggers = [Trigger(w.threshold, w.smoothing, w.refractory) for w in words]
        self.reset()

    def reset(self) -> None:
        """Forget the sound so far.

        openWakeWord's own reset embeds four seconds of random noise anew; silence costs less and
        scores the same each time.
        """
        silence = np.zeros(FRAME_SAMPLES, np.int16)
        for _ in range(_FEATURES_MEMORY):
            self._model.predict(silence)
        for trigger in self._triggers:
            trigger.reset()

    def process(self, frame: Frame) -> WakeWord | None:
        """Score the frame; of two words heard at once the likelier one counts."""
        scores = self._model.predict(frame.samples)
        heard = None
        for word, name, trigger in zip(self._words, self._names, self._triggers, strict=True):
            score = trigger.update(float(scores[name]))
            if score is not None and (heard is None or score > heard.score):
                heard = WakeWord(_plain(name), word.assistant, score, frame.end)
        return heard


def _plain(model: str) -> str:
    """The word without the model's version: ``alexa_v0.1`` is ``alexa``."""
    return model.rpartition("_v")[0] or model
