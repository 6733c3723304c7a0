"""Measures soripan, in part beside stock Vosk and other wake-word detectors: ``make bench``.

Writes Markdown tables to standard output, and everything as JSON beside them. Each way runs in a
process of its own, so that its memory is its own. Recordings of people are not in the repository;
without them their lines are left out.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import answers, fleet, kill, phrase, recognition, wake
from bench.corpus import SHARED

Row = dict[str, Any]
Table = dict[str, Row]

WAYS = {
    "stock Vosk, open": "stock",
    "stock Vosk, runtime grammar": "grammar",
    "`lite`": "lite",
    "`medium`": "medium",
    "`full`": "full",
}
PARTS = ("recognition", "wake", "phrase", "answers", "kill", "fleet")


def main() -> int:
    """Run everything; return the exit status."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="default: bench.json")
    parser.add_argument(
        "--shared", type=Path, default=SHARED, help="recordings of people (default: %(default)s)"
    )
    parser.add_argument("--part", choices=PARTS, help="only this; the rest stays in the JSON file")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        what, way = options.only
        measured = recognition.MEASUREMENTS[what](way, options.shared)
        print(json.dumps(measured, ensure_ascii=False))
        return 0
    results = json.loads(options.json.read_text("utf-8")) if options.json.exists() else {}
    measure: dict[str, Callable[[Path], Table]] = {
        "recognition": _recognition,
        "wake": wake.wake_words,
        "phrase": phrase.phrases,
        "answers": answers.answers,
        "kill": kill.kills,
        "fleet": fleet.fleet,
    }
    for part in [options.part] if options.part else PARTS:
        results[part] = measure[part](options.shared)
        text = json.dumps(results, ensure_ascii=False, indent=2)
        options.json.write_text(f"{text}\n", encoding="utf-8")
    for part in PARTS:
        table = results.get(part, {})
        _print(_turned(table) if part == "fleet" else table)
    return 0


def _recognition(shared: Path) -> Table:
    table = {name: _alone("recognition", way, shared) for name, way in WAYS.items()}
    for name, way in WAYS.items():
        if way not in ("stock", "grammar"):
            table[name] |= _alone("building", way, shared)
            table[name] |= _alone("latency", way, shared)
    return table


def _alone(what: str, way: str, shared: Path) -> Row:
    """Measure in a fresh process."""
    print(f"{what}: {way} ...", file=sys.stderr)
    command = [sys.executable, str(Path(__file__).parent), "--shared", str(shared)]
    command += ["--only", what, way]
    row: Row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return row


def _turned(table: Table) -> Table:
    """Rows for columns."""
    names = dict.fromkeys(name for row in table.values() for name in row)
    return {name: {title: row[name] for title, row in table.items()} for name in names}


def _print(table: Table) -> None:
    """A line for each number, a column for each way."""
    if not table:
        return
    lines: Sequence[str] = list(dict.fromkeys(name for row in table.values() for name in row))
    print("| | " + " | ".join(table) + " |")
    print("|---" * (len(table) + 1) + "|")
    for line in lines:
        print(f"| {line} | " + " | ".join(str(row.get(line, "")) for row in table.values()) + " |")
    print()


if __name__ == "__main__":
    sys.exit(main())
