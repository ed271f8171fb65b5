"""Run every benchmark: `python bench [--json]`."""

import subprocess
import sys
from pathlib import Path

for name in (
    "drain.py",
    "nodes.py",
    "fleet.py",
    "rehearsal.py",
    "backup.py",
    "upgrade.py",
    "access.py",
    "certs.py",
    "login.py",
    "etcd.py",
    "console.py",
):
    script = Path(__file__).parent / name
    subprocess.run([sys.executable, str(script), *sys.argv[1:]], check=True)
