"""Recordings in noise, always the same for the same seed."""

from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from soripan.audio.frame import SAMPLE_RATE, Samples

_BLOCK = SAMPLE_RATE // 50


def read(path: Path) -> Samples:
    """A recording of 16 kHz, mono."""
    samples, rate = soundfile.read(path, dtype="int16")
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise ValueError(f"{path}: not 16 kHz mono")
    return np.asarray(samples, np.int16)


def mix(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """The speech, as loud as it is, with noise behind all of it.

    The noise is repeated or cut to the length of the speech. The ratio is that of the mean powers
    of the noise and of the speech where somebody speaks: its blocks of 20 ms that are at most 25 dB
    below the loudest. Pauses, and quiet put around the word, so do not count.
    """
    background = np.resize(noise, speech.size).astype(np.float64)
    power = np.mean(background**2)
    gain = np.sqrt(_speech_power(speech) / (power * 10 ** (snr_db / 10))) if power else 0.0
    return _to_samples(speech + gain * background)


def kitchen(folder: Path, seed: int, seconds: float) -> Samples:
    """Noise of a kitchen: a stretch of one of the recordings ``kitchen*`` and ``noise_kitchen20*``.

    Half of all seeds give the long recording ``kitchen.flac``; a shorter one is repeated.
    """
    random = np.random.default_rng(seed)
    paths = [folder / "kitchen.flac"]
    if random.random() < 0.5:
        paths = sorted(folder.glob("noise_kitchen20*.flac"))
    sound = _cached(paths[random.integers(len(paths))])
    start = random.integers(sound.size)
    return np.resize(np.roll(sound, -start), round(seconds * SAMPLE_RATE))


def room(seed: int, seconds: float, level_db: float = -65.0) -> Samples:
    """The noise of a quiet room and a microphone: brownish, ``level_db`` dB of full scale."""
    white = np.random.default_rng(seed).normal(0.0, 1.0, round(seconds * SAMPLE_RATE))
    spectrum = np.fft.rfft(white)
    frequencies = np.fft.rfftfreq(white.size, 1 / SAMPLE_RATE)
    coloured = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequencies, 50.0)), white.size)
    scale = 32_768 * 10 ** (level_db / 20) / np.sqrt(np.mean(coloured**2))
    return _to_samples(coloured * scale)


_cached = cache(read)


def _speech_power(speech: Samples) -> float:
    blocks = speech[: speech.size // _BLOCK * _BLOCK].reshape(-1, _BLOCK).astype(np.float64)
    powers = np.mean(blocks**2, axis=1)
    return float(np.mean(powers[powers >= powers.max() * 10**-2.5]))


def _to_samples(sound: np.ndarray) -> Samples:
    return sound.round().clip(-32_768, 32_767).astype(np.int16)
