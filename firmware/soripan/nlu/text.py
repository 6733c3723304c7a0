"""How text is written before it is compared."""

import re
import unicodedata
from typing import Final

_PUNCTUATION: Final = re.compile(
    r"[,?!;…~\"“”\[\](){}<>·]"
    r"|(?<!\d)[.:]|[.:](?!\d)"  # 1.5 is not 15
    r"|(?<!\w)'|'(?!\w)"  # what's
)
_APOSTROPHES: Final = str.maketrans("‘’", "''")
_DASH: Final = re.compile(r"[-–—_]")


def normalise(text: str) -> str:
    """Compose Hangul (NFC), fold case, drop punctuation, turn dashes and runs of space into one.

    So go the brackets of number tokens such as ``[11]`` or ``(십)`` of the Korean lexicon. A point
    inside a number stays (so that 1.5 is not taken for 15), and an apostrophe inside a word.
    """
    text = unicodedata.normalize("NFC", text).casefold().translate(_APOSTROPHES)
    return " ".join(_PUNCTUATION.sub("", _DASH.sub(" ", text)).split())
