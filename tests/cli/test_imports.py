"""Every module of the command line is imported first by somebody, in a new interpreter."""

import subprocess
import sys

# Commands of tests are forked off a process that has imported everything, and two modules that
# import each other do so in whichever order comes first there.
_EACH_FIRST = """
import importlib, os, pkgutil, traceback, shipkeeper.cli
failed = 0
for module in pkgutil.iter_modules(shipkeeper.cli.__path__, "shipkeeper.cli."):
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(module.name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    failed += os.waitpid(child, 0)[1] != 0
raise SystemExit(failed)
"""


def test_no_command_needs_another_to_be_imported_before() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _EACH_FIRST], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
