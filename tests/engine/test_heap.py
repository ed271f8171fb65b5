"""What a process that runs for good takes from the system, it gives back."""

import os
import subprocess
import sys

# A few of what was made among a million others are kept, as the words of a cluster are.
_PEAK = """
from pathlib import Path
from shipkeeper.heap import give_back_large_blocks, give_back_pages

def resident():
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) // 1024

give_back_large_blocks()
before = resident()
made = [f"pod-{number}" for number in range(1_000_000)]
kept = made[::1000]
peak = resident()
del made
give_back_pages()
print(before, peak, resident())
"""


def test_what_a_peak_took_goes_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PEAK],
        env={**os.environ, "PYTHONMALLOC": "malloc"},
        capture_output=True,
        text=True,
        check=True,
    )
    before, peak, after = map(int, done.stdout.split())
    assert peak - before > 50
    assert after - before < (peak - before) // 3
