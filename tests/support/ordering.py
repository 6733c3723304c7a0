"""A panel process that orders and orders until it is killed: `ordering.py PANEL.TOML`.

It prints a line for every order when the panel says aloud that it was taken: the id of the request.
"""

import sys
import time
from pathlib import Path

from soripan import config
from soripan.events import EventBus
from soripan.mqtt.client import Client
from soripan.mqtt.outbox import Outbox
from soripan.panel import Panel


def main() -> None:
    """Order milk for ever."""
    settings = config.load(Path(sys.argv[1]))
    bus = EventBus()
    client = Client(settings.settings.mqtt, settings.settings.panel.id, bus)
    panel = Panel(settings, bus, None, client, Outbox(settings.state_folder))
    client.start()
    print("ready", flush=True)
    while True:
        panel.say("우유 두 병 주문해 줘")
        result = panel.say("응")
        print(result.request if result.decision == "away" else "-", flush=True)
        for _ in range(5):
            panel.attend()
            time.sleep(0.01)


if __name__ == "__main__":
    main()
