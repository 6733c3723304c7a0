"""What the panel speaks with, put together from its config."""

import contextlib
import logging
from collections.abc import Iterator

from soripan.audio.earcons import Earcons
from soripan.audio.loudspeaker import Loudspeaker
from soripan.audio.speech import Synthesiser
from soripan.audio.voice import Voice
from soripan.config import Config
from soripan.events import EventBus
from soripan.exc import ToolMissingError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def open_mouth(config: Config, bus: EventBus) -> Iterator[Voice | None]:
    """Let what is published be heard, as sounds and as sentences. Gives the voice, if there is one.

    Without its program the panel has no voice; that is logged, and no reason not to start.
    """
    audio = config.settings.audio
    with Loudspeaker(audio.output_device) as loudspeaker:
        # First the sound, then the sentence.
        if audio.earcons:
            Earcons(bus, loudspeaker)
        synthesiser = create_synthesiser(config)
        if synthesiser is not None:
            try:
                synthesiser.check()
            except ToolMissingError as error:
                log.warning("nothing will be spoken: %s", error)
                synthesiser = None
        yield Voice(bus, loudspeaker, synthesiser) if synthesiser is not None else None


def create_synthesiser(config: Config) -> Synthesiser | None:
    """The synthesiser of the settings, if the panel has a voice."""
    settings = config.settings.speech
    match settings.engine:
        case "espeak-ng":
            command = ["espeak-ng", "-v", config.settings.panel.language]
            command += ["-s", str(settings.speed), "--stdin", "--stdout"]
            return Synthesiser(command, settings.timeout)
        case "command":
            return Synthesiser(settings.command, settings.timeout)
        case _:
            return None
