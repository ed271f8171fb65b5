"""Leaving nothing of a lab behind."""

import shutil
from concurrent.futures import ThreadPoolExecutor

from shipkeeper.sandbox.lab import cgroups
from shipkeeper.sandbox.lab.layout import LabLayout
from shipkeeper.sandbox.lab.limits import put_limit_back
from shipkeeper.sandbox.lab.network import Switch
from shipkeeper.sandbox.lab.power import Power


def end(layout: LabLayout) -> None:
    """End every process of a lab, its network and its cgroups; what is on disk stays.

    It goes by the lab's directory alone, whoever made it and however that ended.
    """
    hosts = [Power(layout.host(path.name)) for path in layout.directory.glob("hosts/*")]
    with ThreadPoolExecutor() as pool:
        list(pool.map(Power.cut, hosts))
    Switch(layout.tag).remove()
    cgroups.remove(layout.tag)
    put_limit_back()


def take_down(layout: LabLayout) -> None:
    """End a lab and remove its directory; from the first moment on, the lab is unknown."""
    end(layout)
    shutil.rmtree(layout.unfinished, ignore_errors=True)
    if layout.directory.exists():
        layout.directory.rename(layout.unfinished)
        shutil.rmtree(layout.unfinished)
