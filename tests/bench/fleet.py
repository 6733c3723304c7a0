"""Many panels and few bridges at one broker: requests per second, latency, losses, doubles.

The panels are simulated, all in one process: each is a connection of its own that publishes a
question, waits for the reply and asks again. The bridges are real processes (the simulator) on one
shared subscription. All of it runs on one machine, so the figures are of this machine's processor,
not of the broker.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from soripan.mqtt.messages import Request, encode
from support.broker import Broker, Monitor

PANELS: Final = (10, 100, 1000, 5000)
BRIDGES: Final = (1, 2, 4)
SECONDS: Final = 15.0
"""Seconds of each measurement."""
CONNECTING: Final = 50
"""Panels that connect at once."""
LATE: Final = 60.0
"""Seconds after which a reply counts as lost."""
THINKING: Final = 1.0
"""Seconds between a reply and the next question. A thousand panels so ask a thousand questions a
second at most: as much as a million do if each asks once in a quarter of an hour."""


@dataclass(slots=True)
class Tally:
    """What all panels have seen."""

    asked: int = 0
    seconds: list[float] = field(default_factory=list)
    replies: Counter[str] = field(default_factory=Counter)
    cpu: float = 0.0
    """Seconds of processor that the panels used, from the first connection to the last."""
    took: float = 0.0
    """Seconds of that."""


def fleet(_shared: Path) -> dict[str, dict[str, Any]]:
    """A row for each number of panels and bridges."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    table: dict[str, dict[str, Any]] = {}
    for panels in PANELS:
        for bridges in BRIDGES:
            print(f"fleet: {panels} panels, {bridges} bridges ...", file=sys.stderr)
            table[f"{panels:,} panels, {bridges} bridges"] = measure(panels, bridges)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return table


def measure(panels: int, bridges: int, seconds: float = SECONDS) -> dict[str, Any]:
    """Let panels ask for a while.

    Args:
        panels: how many.
        bridges: how many processes answer.
        seconds: how long they ask.
    """
    with (
        Broker(extra="max_queued_messages 0\nset_tcp_nodelay true\n") as broker,
        ExitStack() as stack,
    ):
        processes = stack.enter_context(_bridges(broker, bridges))
        before = _cpu(broker.pid), sum(map(_cpu, processes))
        tally = asyncio.run(_ask(broker.port, panels, seconds))
        used = {
            "CPU of all panels": tally.cpu,
            "of the broker": _cpu(broker.pid) - before[0],
            "of all bridges": sum(map(_cpu, processes)) - before[1],
        }
    took = tally.seconds
    return {
        "requests": tally.asked,
        "requests per second": round(tally.asked / seconds),
        "p50, ms": round(1000 * statistics.median(took)),
        "p99, ms": round(1000 * statistics.quantiles(took, n=100)[98]),
        "lost": tally.asked - len(tally.replies),
        "answered twice": sum(count > 1 for count in tally.replies.values()),
        **{name: round(spent / tally.took, 2) for name, spent in used.items()},
    }


def _cpu(process: int) -> float:
    """Seconds of processor that a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _bridges(broker: Broker, count: int) -> Iterator[list[int]]:
    """Bridge processes that share a memory, as on one machine; their ids."""
    with tempfile.TemporaryDirectory(prefix="soripan-fleet-") as folder, ExitStack() as stack:
        file = Path(folder) / "simulator.toml"
        file.write_text(
            f'assistant = "alexa"\nstate = "{folder}/state"\nconcurrency = 16\ndeadline = 60.0\n'
            f'[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n'
        )
        monitor = stack.enter_context(Monitor(broker.host, broker.port, "soripan/bridges/#"))
        running: list[int] = []
        for number in range(count):
            command = [sys.executable, "-m", "soripan", "bridge", "simulator"]
            command += ["--config", str(file), "--instance", str(number)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
            assert process.stdout is not None
            process.stdout.readline()
            running.append(process.pid)
        monitor.wait_for("soripan/bridges/alexa/availability", "online", timeout=30)
        time.sleep(1.0)
        yield running


async def _ask(port: int, panels: int, seconds: float) -> Tally:
    tally = Tally()
    began, used = time.monotonic(), time.process_time()
    connecting = asyncio.Semaphore(CONNECTING)
    everybody = asyncio.Barrier(panels)
    async with asyncio.TaskGroup() as group:
        for number in range(panels):
            group.create_task(_panel(port, f"p{number}", seconds, tally, connecting, everybody))
    tally.took, tally.cpu = time.monotonic() - began, time.process_time() - used
    return tally


async def _panel(
    port: int,
    name: str,
    seconds: float,
    tally: Tally,
    connecting: asyncio.Semaphore,
    everybody: asyncio.Barrier,
) -> None:
    """One panel: ask, wait, ask again."""
    reply_to = f"soripan/{name}/reply"
    client = aiomqtt.Client(
        "127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, keepalive=300, timeout=60
    )
    async with connecting:
        await client.__aenter__()
        await client.subscribe(reply_to, qos=1)
    await everybody.wait()
    try:
        until = time.monotonic() + seconds
        messages = aiter(client.messages)
        await asyncio.sleep(hash(name) % 1000 / 1000 * THINKING)  # nobody asks in step
        while time.monotonic() < until:
            if not await _exchange(client, messages, name, reply_to, tally):
                return
            await asyncio.sleep(THINKING)
        await _linger(messages, tally)
    finally:
        async with connecting:
            await client.__aexit__(None, None, None)


async def _exchange(
    client: aiomqtt.Client, messages: Any, name: str, reply_to: str, tally: Tally
) -> bool:
    """One question and its reply; return False if none comes."""
    request = Request(
        panel=name,
        appliance="fridge",
        language="ko",
        assistant="alexa",
        kind="unresolved",
        text="내일 날씨 어때",
        confidence=0.9,
        session=uuid.uuid4().hex[:12],
        attempt=1,
        reply_to=reply_to,
    )
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = reply_to
    properties.CorrelationData = request.id.encode()
    began = time.monotonic()
    tally.asked += 1
    topic = f"soripan/{name}/request/alexa"
    await client.publish(topic, encode(request), qos=1, properties=properties)
    try:
        async with asyncio.timeout(LATE):
            while (heard := await _next(messages, tally)) != request.id:
                if heard is None:
                    return False
    except TimeoutError:
        return False
    tally.seconds.append(time.monotonic() - began)
    return True


async def _next(messages: Any, tally: Tally) -> str | None:
    message = await anext(messages)
    found: str = json.loads(message.payload)["id"]
    tally.replies[found] += 1
    return found


async def _linger(messages: Any, tally: Tally) -> None:
    """See whether something comes twice."""
    try:
        async with asyncio.timeout(1.0):
            while True:
                await _next(messages, tally)
    except TimeoutError:
        pass
