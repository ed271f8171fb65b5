"""The cache: complete and checked, or not there, whatever happens while it is being filled."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from shipkeeper.sandbox.assets.engines import NotServedError
from shipkeeper.sandbox.assets.store import cached, cached_versions, prepare, read_manifest
from shipkeeper.sandbox.assets.workshop import Workshop

from .scenery import ENGINES, make_engines

VERSION = "v1.37.2"
CHECKOUT = Path(__file__).parents[3]

# A process that prepares engines. The command that it runs for that reports that it has begun,
# waits for a word (both through fifos), and then still writes into the workshop.
CHILD = """
import sys
from shipkeeper.sandbox.assets.store import prepare
from tests.sandbox.assets.scenery import make_engines

begun, word = sys.argv[1:]

def fill(workshop):
    script = f"echo yes > {begun}; read _ < {word}; echo half > {workshop.directory}/etcd"
    workshop.run("waiting for a word", "sh", "-c", script)
    make_engines(workshop.directory)

print(prepare("v1.37.2", "go", fill, lambda line: print(line, flush=True)).source, flush=True)
"""


def fill(workshop: Workshop) -> None:
    make_engines(workshop.directory)


def refuse(workshop: Workshop) -> None:
    raise AssertionError("the cache should have served")


def leftovers(engines_dir: Path) -> set[str]:
    return {path.name for path in engines_dir.iterdir()} - {f".{VERSION}.lock"}


def test_what_was_prepared_is_served_from_the_cache(engines_dir: Path, said: list[str]) -> None:
    assets = prepare(VERSION, "go", fill, said.append)
    assert (assets.source, assets.directory) == ("go", engines_dir / VERSION)
    assert cached(VERSION).directory == assets.directory
    assert cached(VERSION).source == "cache"
    assert cached_versions() == [VERSION]
    assert prepare(VERSION, "debian", refuse, said.append).source == "cache"
    assert leftovers(engines_dir) == {VERSION}


def test_the_manifest_tells_the_way_and_every_checksum(engines_dir: Path, said: list[str]) -> None:
    manifest = read_manifest(prepare(VERSION, "go", fill, said.append).directory)
    assert (manifest.kubernetes_version, manifest.source) == (VERSION, "go")
    assert set(manifest.files) == set(ENGINES)
    shown = subprocess.run(
        ["sha256sum", engines_dir / VERSION / "etcd"], capture_output=True, text=True, check=True
    )
    assert manifest.files["etcd"].sha256 == shown.stdout.split()[0]


def test_an_empty_cache_does_not_serve(engines_dir: Path) -> None:
    assert cached_versions() == []
    with pytest.raises(NotServedError, match="holds no engines"):
        cached(VERSION)


@pytest.mark.parametrize("damage", ["unlink", "truncate", "flip", "manifest", "half manifest"])
def test_a_damaged_entry_does_not_serve_and_is_replaced(
    damage: str, engines_dir: Path, said: list[str]
) -> None:
    engine = prepare(VERSION, "go", fill, said.append).kube_scheduler
    manifest = engine.parent / "manifest.json"
    content = engine.read_bytes()
    if damage == "unlink":
        engine.unlink()
    elif damage == "truncate":
        engine.write_bytes(content[:-1])
    elif damage == "flip":
        engine.write_bytes(content.replace(b"echo", b"ecHo"))
    elif damage == "manifest":
        manifest.unlink()
    else:
        manifest.write_bytes(manifest.read_bytes()[:100])
    with pytest.raises(NotServedError):
        cached(VERSION)
    assert prepare(VERSION, "go", fill, said.append).source == "go"
    assert engine.read_bytes() == content
    assert cached(VERSION)


def test_an_entry_that_was_copied_with_other_times_serves(
    engines_dir: Path, said: list[str]
) -> None:
    engine = prepare(VERSION, "go", fill, said.append).etcd
    os.utime(engine, ns=(1, 1))
    assert cached(VERSION).etcd == engine


def test_engines_of_another_version_are_not_published(engines_dir: Path, said: list[str]) -> None:
    def other(workshop: Workshop) -> None:
        make_engines(workshop.directory, "v1.37.1")

    with pytest.raises(NotServedError, match=r"is v1\.37\.1"):
        prepare(VERSION, "go", other, said.append)
    assert leftovers(engines_dir) == set()


def test_a_failing_command_is_told_with_the_end_of_its_log(
    engines_dir: Path, said: list[str]
) -> None:
    def broken(workshop: Workshop) -> None:
        workshop.run("compiling", "sh", "-c", "seq 100; echo no space left >&2; exit 3")

    with pytest.raises(NotServedError) as refused:
        prepare(VERSION, "go", broken, said.append)
    first, *evidence = refused.value.message.splitlines()
    assert first.startswith("sh failed (exit code 3) while compiling; log: ")
    assert evidence[-2:] == ["100", "no space left"]
    assert len(evidence) < 20
    log = Path(first.rpartition("log: ")[2])
    assert log.read_text().splitlines()[-101:-1] == [str(number) for number in range(1, 101)]
    assert leftovers(engines_dir) == set()


def test_a_long_command_is_heard_of_again(
    engines_dir: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipkeeper.sandbox.assets.workshop._HEARTBEAT", 0.02)

    def slow(workshop: Workshop) -> None:
        workshop.run("sleeping", "sleep", "0.2")
        make_engines(workshop.directory)

    prepare(VERSION, "go", slow, said.append)
    assert said[0] == f"{VERSION}: sleeping"
    assert said[1].startswith(f"{VERSION}: still sleeping (")


class Child:
    """A CHILD process; whatever becomes of the test, close() leaves no process behind."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._begun, begun = _fifo(directory / "begun")
        self._word, word = _fifo(directory / "word")
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, begun, word],
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
            start_new_session=True,
        )

    def says(self) -> str:
        """The next line of its standard output, without the line's end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    def await_command(self) -> None:
        """Wait until its command runs."""
        assert select.select([self._begun], [], [], 30)[0], "its command did not begin"
        assert os.read(self._begun, 100) == b"yes\n"

    def go_on(self) -> None:
        """Let its command go on."""
        os.write(self._word, b"\n")

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        os.close(self._begun)
        os.close(self._word)


def _fifo(path: Path) -> tuple[int, Path]:
    os.mkfifo(path)
    # Open for both directions, so that neither end waits for the other to open.
    return os.open(path, os.O_RDWR), path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    with ExitStack() as children:

        def start(name: str) -> Child:
            return children.enter_context(closing(Child(tmp_path / name)))

        yield start


def test_the_second_process_waits_for_the_first(
    engines_dir: Path, start: Callable[[str], Child]
) -> None:
    first = start("first")
    first.await_command()
    second = start("second")
    assert "another process is preparing" in second.says()
    first.go_on()
    assert first.says() == f"{VERSION}: waiting for a word"
    assert first.says() == "go"
    assert second.says() == "cache"


def test_a_killed_build_leaves_nothing_that_serves_and_the_next_one_succeeds(
    engines_dir: Path, start: Callable[[str], Child]
) -> None:
    killed = start("killed")
    killed.await_command()
    killed.process.kill()
    killed.process.wait()
    assert leftovers(engines_dir) == {f".{VERSION}.partial"}
    with pytest.raises(NotServedError):
        cached(VERSION)

    # The killed process's command lives on and still writes: the next attempt waits for its end.
    following = start("following")
    assert "another process is preparing" in following.says()
    killed.go_on()
    following.await_command()
    following.go_on()
    assert following.says() == f"{VERSION}: waiting for a word"
    assert following.says() == "go"
    assert leftovers(engines_dir) == {VERSION}
    assert cached(VERSION).directory == engines_dir / VERSION


@pytest.mark.parametrize(
    "function",
    [
        "Workshop.open",
        "shutil.rmtree",
        "require_version",
        "_write_manifest",
        "_sync",
        "Path.rename",
    ],
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_step_of_publishing_the_cache_is_whole_or_empty(
    function: str, moment: str, engines_dir: Path, tmp_path: Path, said: list[str]
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", killing(function, moment)], check=False, cwd=CHECKOUT
    )
    assert killed.returncode == -signal.SIGKILL
    published = (engines_dir / VERSION).exists()
    assert published == (function == "Path.rename" and moment == "after")
    assert prepare(VERSION, "go", fill, said.append).source == ("cache" if published else "go")
    assert leftovers(engines_dir) == {VERSION}
    assert cached(VERSION).directory == engines_dir / VERSION


def killing(function: str, moment: str) -> str:
    """A program that prepares engines and kills itself just before or after `function` of store."""
    owner, _, name = f"store.{function}".rpartition(".")
    return textwrap.dedent(
        f"""
        import os, signal
        from shipkeeper.sandbox.assets import store
        from tests.sandbox.assets.scenery import make_engines

        real = {owner}.{name}

        def killing(*arguments, **options):
            if {moment == "after"}:
                real(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        {owner}.{name} = killing
        fill = lambda workshop: make_engines(workshop.directory)
        store.prepare("{VERSION}", "go", fill, print)
        """
    )
