"""Prints how much memory a recogniser takes: `memory.py MODEL FILE...`, MB.

A process of its own, with as little else in it as can be.
"""

import sys
from pathlib import Path

import soundfile

from soripan.asr.recogniser import Recogniser

ALTERNATIVES = 10


def main() -> None:
    """Recognise some recordings."""
    recogniser = Recogniser(Path(sys.argv[1]), ALTERNATIVES)
    for file in sys.argv[2:]:
        sound, _ = soundfile.read(file, dtype="int16")
        recogniser.start()
        for start in range(0, len(sound), 1280):
            if recogniser.accept(sound[start : start + 1280]) is None:
                recogniser.partial()
        recogniser.finish()
    # Not ru_maxrss, in which a process starts with what its parent had.
    lines = Path("/proc/self/status").read_text().splitlines()
    print(round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000))


if __name__ == "__main__":
    main()
