"""The panel of the demo's last act, a process that can be killed: `panel.py PANEL.TOML [FILE...]`.

It hears the recordings, says what it does on standard output, and goes on until it is ended.
"""

import sys
import threading
import time
from pathlib import Path

from soripan import config
from soripan.asr.models import ModelStore
from soripan.audio.files import FileSource
from soripan.decide import Result
from soripan.events import Error, Event, EventBus, Question, ReplyReady, RequestMade
from soripan.mqtt.client import Client
from soripan.mqtt.outbox import Outbox
from soripan.panel import Panel
from soripan.store import Store


def main() -> None:
    """Be a panel."""
    settings = config.load(Path(sys.argv[1]))
    bus = EventBus()
    for kind in (Question, RequestMade, ReplyReady, Error):
        bus.subscribe(kind, _tell)
    client = Client(settings.settings.mqtt, settings.settings.panel.id, bus)
    folder = settings.state_folder
    panel = Panel(settings, bus, Store(folder), client, Outbox(folder))
    client.start()
    files = [Path(name) for name in sys.argv[2:]]
    if files:
        panel.open_ears(ModelStore(settings.models_folder))
    for file in files:
        _hear(panel, file)
    print("ready", flush=True)
    while True:
        panel.attend()
        time.sleep(0.02)


def _hear(panel: Panel, file: Path) -> None:
    stop = threading.Event()

    def take(result: Result) -> None:
        print(f"heard {result.text}", flush=True)
        stop.set()

    with FileSource(file, realtime=True, tail=4.0) as source:
        if panel.asking:
            panel.listen(0.0)
        panel.run(source, stop, take)
    panel.forget()


def _tell(event: Event) -> None:
    print(f"says {getattr(event, 'speech', None) or ''}", flush=True)


if __name__ == "__main__":
    main()
