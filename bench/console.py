#!/usr/bin/env -S .venv/bin/python
"""The console over a large fleet that never rests: how soon it shows, what it costs.

python bench/console.py [--json] [--nodes 1000] [--pods 10000] [--changes 200] [--tabs 20]
                        [--seconds 20]

One tab is a real Chromium, in which changes are seen in what it draws; the others follow the same
stream as tabs do. A change is a PATCH at the API server: its time counts from before it is sent.
`change_to_watch_p99_ms` is when a bare watch, in this process, has the same changes.
The controller manager and the scheduler are stopped meanwhile: they would do anew with each change
what two processors have no time for, and nothing that is looked for waits for them. The API server
seldom collects its garbage: on two processors that holds up its answers for up to a second. Nodes
renew their leases, which the console does not read, every two and a half minutes.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import aiohttp
from playwright.async_api import Browser, Page
from tests.web.chromium import browser

from placed import place
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import NODES, PODS
from shipkeeper.kube.writer import Writer
from shipkeeper.model.node import Node
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.names import CONTROLLER_MANAGER, SCHEDULER
from shipkeeper.sandbox.rollout import apply, wait_ready
from shipkeeper.sandbox.sandbox import Sandbox
from world import SHIPKEEPER, bench_sandbox, print_figures, say

PODS_OF_AN_APP = 100
# Seconds until a node that is silent is marked; a quarter of it lies between two heartbeats.
_NODE_GRACE = 600
# By how many percent the memory of what is written in Go grows before its garbage is collected.
_GOGC = "800"
# Seconds of changes before those that are looked for: tabs were just opened, all pods just listed.
_WARM_UP = 5
# Of all changes: those that are looked for on the screen, and cordons of nodes there beside them.
MEASURED_SHARE, CORDONED_SHARE = 0.1, 0.05
# A change that is looked for names a kernel that no other names; which row has shown which, and
# when by the clock of this machine.
KERNEL = "6.99."
OBSERVE = """(kernel) => {
  window.seen = []
  const look = (changes) => {
    for (const { target } of changes) {
      const element = target.nodeType === Node.TEXT_NODE ? target.parentElement : target
      const cell = element.closest('td')
      if (!cell?.textContent.startsWith(kernel) || !cell.checkVisibility()) continue
      const number = Number(cell.textContent.slice(kernel.length))
      window.seen.push([cell.parentElement.querySelector('th').textContent, number, Date.now()])
    }
  }
  new MutationObserver(look).observe(document.querySelector('main'), {
    subtree: true, childList: true, characterData: true })
}"""

# The name of a node, the number of its kernel, and the milliseconds since the epoch.
Moment = tuple[str, int, float]


def main() -> None:
    """Bring a fleet up, change it without end, and look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--tabs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    os.environ["GOGC"] = _GOGC
    with (
        bench_sandbox(NEWEST, node_grace=_NODE_GRACE) as sandbox,
        tempfile.TemporaryDirectory() as state,
    ):
        sandbox.hollow.add_nodes(NodeGroup(count=asked.nodes, zones=3))
        asyncio.run(_bring_up(sandbox, asked.pods))
        say(f"{asked.nodes} nodes and {asked.pods} pods are up")
        for idle in (CONTROLLER_MANAGER, SCHEDULER):
            sandbox.stop_component(idle)
        figures = asyncio.run(_figures(sandbox, Path(state), asked))
    print_figures(figures, as_json=asked.json)


async def _bring_up(sandbox: Sandbox, pods: int) -> None:
    names = [f"app-{number}" for number in range(pods // PODS_OF_AN_APP)]
    sets = [workloads.replica_set(name, "fleet", replicas=PODS_OF_AN_APP) for name in names]
    budgets = [
        workloads.budget(name, "fleet", {workloads.APP_LABEL: name}, max_unavailable=1)
        for name in names
    ]
    async with connect(ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))) as connection:
        reader = Reader(connection)
        places = [node.name for node in (await reader.list(NODES)).items]
        await place(sandbox, connection, "fleet", sets, places)
        await apply(reader, Writer(connection), budgets)
        await wait_ready(reader, "fleet", timeout=timedelta(minutes=20))


async def _figures(sandbox: Sandbox, state: Path, asked: argparse.Namespace) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        server, url, link = await stack.enter_async_context(_serving(sandbox, state))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        )
        async with http.get(link):
            pass
        link = await _next_link(state)
        running = await stack.enter_async_context(browser())
        page = await _open(running, link)
        loaded = await _load(page, f"{url}/fleet?sort=name")
        others = [
            asyncio.create_task(_follow(http, url, number)) for number in range(asked.tabs - 1)
        ]
        await page.evaluate(OBSERVE, KERNEL)
        sent, watched = await _change(sandbox, page, asked)
        seen: list[Moment] = await page.evaluate("window.seen")
        late = _latencies(sent, seen)
        for each in others:
            each.cancel()
        return {
            "first_paint_seconds": loaded["paint"],
            "table_ready_seconds": loaded["table"],
            "change_to_screen_p99_ms": round(quantiles(late, n=100)[98]),
            "server_mb": _pss(server.pid),
            "tab_mb": await _tab_mb(running),
            "bytes_first_load": loaded["bytes"],
            "change_to_screen_p50_ms": round(quantiles(late, n=100)[49]),
            "change_to_watch_p99_ms": round(quantiles(_latencies(sent, watched), n=100)[98]),
            "changes_measured": len(late),
            "changes_not_seen": len(sent) - len(late),
            "changes_a_second": asked.changes,
            "tabs": asked.tabs,
        }


@asynccontextmanager
async def _serving(
    sandbox: Sandbox, state: Path
) -> AsyncGenerator[tuple[subprocess.Popen[bytes], str, str]]:
    environment = {"KUBECONFIG": str(sandbox.kubeconfig), "XDG_STATE_HOME": str(state)}
    with (state / "said").open("wb") as said:
        process = subprocess.Popen(  # noqa: ASYNC220  (it is begun once)
            [SHIPKEEPER, "serve", "--port", "0"], env={**os.environ, **environment}, stderr=said
        )
    try:
        link = await _next_link(state)
        yield process, link.partition("/?")[0], link
    finally:
        process.terminate()
        process.wait()


async def _next_link(state: Path) -> str:
    """The newest link that was printed, once there is one."""
    while True:
        lines = (state / "said").read_text().splitlines()
        links = [line.split()[-1] for line in lines if "/?link=" in line]
        if links:
            return links[-1]
        await asyncio.sleep(0.1)


async def _open(running: Browser, link: str) -> Page:
    context = await running.new_context(viewport={"width": 1400, "height": 1000})
    page = await context.new_page()
    await page.goto(link)
    await page.wait_for_selector("tbody tr th")
    return page


async def _load(page: Page, url: str) -> dict[str, Any]:
    """Load the page anew, as on a first visit, and measure that."""
    client: Any = await page.context.new_cdp_session(page)
    await client.send("Network.clearBrowserCache")
    await page.goto(url)
    await page.wait_for_selector("tbody tr th")
    table = await page.evaluate("performance.now() / 1000")
    # The table may be there before anything of it is painted.
    await page.wait_for_function(
        "performance.getEntriesByName('first-contentful-paint').length > 0"
    )
    paint = await page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
    )
    size = await page.evaluate(
        "['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))"
        ".filter((each) => !each.name.includes('/api/stream'))"
        ".reduce((sum, each) => sum + each.transferSize, 0)"
    )
    return {"paint": round(paint, 2), "table": round(table, 2), "bytes": size}


async def _follow(http: aiohttp.ClientSession, url: str, number: int) -> None:
    """A tab without a screen."""
    query = {"sort": ("name", "fitness", "-pods")[number % 3]}
    async with http.get(f"{url}/api/stream/fleet", params=query) as stream:
        async for _ in stream.content.iter_any():
            pass


async def _change(
    sandbox: Sandbox, page: Page, asked: argparse.Namespace
) -> tuple[list[Moment], list[Moment]]:
    """Change pods all the time, and nodes that are in sight.

    Which got which kernel and when, and when a bare watch had it.
    """
    options = ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))
    names: list[str] = await page.evaluate(
        "[...document.querySelectorAll('tbody th')].slice(0, 12).map((each) => each.textContent)"
    )
    sent: list[Moment] = []
    watched: list[Moment] = []
    async with connect(options) as connection, Reflector(Reader(connection), NODES) as nodes:
        nodes.subscribe(lambda change: watched.extend(_numbered(change.object)))
        reader, writer = Reader(connection), Writer(connection)
        pods = [pod.name for pod in (await reader.list(PODS, namespace="fleet")).items]
        tasks: set[asyncio.Task[Any]] = set()
        began, done = time.monotonic(), 0
        while (at := time.monotonic() - began) < _WARM_UP + asked.seconds:
            die = random.random()
            if die < MEASURED_SHARE and at >= _WARM_UP:
                name = names[len(sent) % len(names)]
                sent.append((name, len(sent), time.time() * 1000))
                info = {"nodeInfo": {"kernelVersion": f"{KERNEL}{len(sent) - 1}"}}
                call = writer.patch(NODES, name, {"status": info}, subresource="status")
            elif die < MEASURED_SHARE + CORDONED_SHARE:
                patch = {"spec": {"unschedulable": random.choice((True, None))}}
                call = writer.patch(NODES, random.choice(names), patch)
            else:
                patch = {"metadata": {"labels": {"tick": str(done)}}}
                call = writer.patch(PODS, random.choice(pods), patch, namespace="fleet")
            task = asyncio.create_task(call)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            done += 1
            await asyncio.sleep(max(0.0, began + done / asked.changes - time.monotonic()))
        await asyncio.gather(*tasks)
        await asyncio.sleep(2)
    return sent, watched


def _numbered(node: Node) -> Iterator[Moment]:
    """That a node has now what is looked for; nothing if it has not yet had it."""
    kernel = node.status.node_info.kernel_version
    if kernel.startswith(KERNEL):
        yield node.name, int(kernel.removeprefix(KERNEL)), time.time() * 1000


def _latencies(sent: list[Moment], seen: list[Moment]) -> list[float]:
    """Milliseconds from each change until it is seen, or one that overtook it."""
    late: list[float] = []
    for name, number, at in sent:
        shown = (t for n, newest, t in seen if n == name and newest >= number)
        if (first := next(shown, None)) is not None:
            late.append(first - at)
    return late


async def _tab_mb(running: Browser) -> int:
    """The memory of the largest renderer: the tab with the page."""
    client: Any = await running.new_browser_cdp_session()
    info = await client.send("SystemInfo.getProcessInfo")
    return max(_pss(each["id"]) for each in info["processInfo"] if each["type"] == "renderer")


def _pss(pid: int) -> int:
    """Megabytes of a process, shared pages by their share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return round(int(line.split()[1]) / 1024)
    raise ValueError(f"process {pid} tells nothing of its memory")


if __name__ == "__main__":
    main()
