"""How text is written before it is compared."""

import re
import unicodedata
from typing import Final

_PUNCTUATION: Final = re.compile(r"[.,?!;:…~\"“”‘’'\[\](){}<>·]")
_DASH: Final = re.compile(r"[-–—_]")


def normalise(text: str) -> str:
    """Compose Hangul (NFC), fold case, drop punctuation, turn dashes and runs of space into one.

    So go the brackets of number tokens such as ``[11]`` or ``(십)`` of the Korean lexicon.
    """
    text = unicodedata.normalize("NFC", text).casefold()
    return " ".join(_PUNCTUATION.sub("", _DASH.sub(" ", text)).split())
