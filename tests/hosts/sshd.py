"""A host for tests: a real sshd in mount and process namespaces of its own, on loopback.

Its users, keys, /run, /var/lib, boot ID and process tree are its own; all ends with it.
"""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from shipkeeper.hosts.options import SshOptions
from shipkeeper.sandbox.ports import choose_ports
from tests.hosts.keys import write_key
from tests.hosts.openssh import find_sshd

KEEPER = 4242
"""The user ID of `keeper`, who is not root."""

# What the machine's own files say must not matter, nor may anything be left in them.
_SET_UP = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 755 /run/sshd
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o size=64k,nr_inodes=32 tmpfs /srv
for file in passwd shadow group; do mount --bind "$1/$file" "/etc/$file"; done
mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id
touch "$1/ready"
exec sleep infinity
"""
_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host_key
PidFile {home}/sshd.pid
AuthorizedKeysFile {home}/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding yes
LoginGraceTime 20
PrintMotd no
SetEnv PATH={home}/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


class SshServer:
    """One sshd; `home` holds its files, and is readable by every user of it."""

    def __init__(self, settings: str = "") -> None:
        self.home = Path(tempfile.mkdtemp(prefix="shipkeeper-sshd-"))
        self.port = free_port()
        self._settings = settings
        self._namespace: asyncio.subprocess.Process | None = None
        self._sshd: asyncio.subprocess.Process | None = None
        self._inside = 0

    async def __aenter__(self) -> "SshServer":
        assert os.geteuid() == 0, "sshd needs root to be a host for several users"
        self._write_files()
        try:
            await self._enter_namespace()
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    def sync_nothing(self) -> None:
        """Let `sync` do nothing for whoever logs in: disks need not outlive a power cut."""
        program = self.home / "bin" / "sync"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)

    async def __aexit__(self, *_: object) -> None:
        if self._namespace:
            self._namespace.kill()
            await self._namespace.wait()
        if self._sshd:
            await self._sshd.wait()
        shutil.rmtree(self.home)

    @property
    def inside(self) -> int:
        """The process whose namespaces are the host's."""
        return self._inside

    @property
    def root(self) -> Path:
        """The host's file system, as it sees it."""
        return Path(f"/proc/{self._inside}/root")

    @property
    def boot_id(self) -> Path:
        """The file that the host takes for the kernel's boot ID."""
        return self.home / "boot_id"

    def options(self, **changes: object) -> SshOptions:
        """How the test logs in to it."""
        settings: dict[str, object] = {
            "user": "root",
            "port": self.port,
            "identities": (self.home / "user_key",),
            "use_agent": False,
            "known_hosts": self.home / "known_hosts",
            "connect_timeout": 60.0,
        }
        return SshOptions(**{**settings, **changes})  # pyright: ignore[reportArgumentType]

    async def start(self) -> None:
        """Start sshd, and wait until it accepts connections."""
        sshd, libraries = find_sshd()
        self._sshd = await asyncio.create_subprocess_exec(
            *("nsenter", "--mount", "--pid", "--target", str(self._inside)),
            *(str(sshd), "-D", "-f", str(self.home / "sshd_config"), "-E", str(self.home / "log")),
            env={**os.environ, **({"LD_LIBRARY_PATH": str(libraries)} if libraries else {})},
        )
        async with asyncio.timeout(30):
            while not await _accepts(self.port):
                assert self._sshd.returncode is None, (self.home / "log").read_text()
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End sshd and every connection; what was started through it goes on."""
        assert self._sshd
        pid = (self.home / "sshd.pid").read_text().strip()
        await self.run(f"kill {pid}; pkill -P {pid} -x sshd; pkill -x sshd; true")
        await self._sshd.wait()

    async def run(self, script: str) -> str:
        """Run a script on the host without SSH."""
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--mount", "--pid", "--target", str(self._inside), "sh", "-c", script),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        return output.decode()

    def _write_files(self) -> None:
        self.home.chmod(0o755)
        (self.home / "bin").mkdir()
        for name in ("root", "keeper"):
            (self.home / name).mkdir(mode=0o700)
        os.chown(self.home / "keeper", KEEPER, KEEPER)
        for name in ("host_key", "user_key", "other_key"):
            write_key(self.home / name)
        self.know(self.known_line(f"[127.*]:{self.port}"))
        shutil.copy(self.home / "user_key.pub", self.home / "authorized_keys")
        (self.home / "passwd").write_text(
            f"root:x:0:0::{self.home}/root:/bin/sh\nsshd:x:105:65534::/run/sshd:/bin/false\n"
            f"keeper:x:{KEEPER}:{KEEPER}::{self.home}/keeper:/bin/sh\n"
        )
        (self.home / "shadow").write_text("root:*:1::::::\nsshd:*:1::::::\nkeeper:*:1::::::\n")
        (self.home / "group").write_text(f"root:x:0:\nnogroup:x:65534:\nkeeper:x:{KEEPER}:\n")
        self.reboot()
        config = _CONFIG.format(port=self.port, home=self.home) + self._settings
        (self.home / "sshd_config").write_text(config)

    def known_line(self, pattern: str) -> str:
        """The line of known_hosts that is right for it."""
        return f"{pattern} {(self.home / 'host_key.pub').read_text()}"

    def know(self, line: str) -> None:
        """Replace known_hosts."""
        (self.home / "known_hosts").write_text(f"{line}\n")

    def reboot(self) -> None:
        """Have a new boot ID; which processes die is up to the test."""
        self.boot_id.write_text(f"{os.urandom(16).hex()}\n")

    async def _enter_namespace(self) -> None:
        self._namespace = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", _SET_UP, "sh", str(self.home)),
        )
        async with asyncio.timeout(30):
            while not (self.home / "ready").exists():
                assert self._namespace.returncode is None
                await asyncio.sleep(0.02)
        self._inside = _child(self._namespace.pid)


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def free_port() -> int:
    """A port of loopback that nobody listens on, nor takes for an outgoing connection."""
    return choose_ports().etcd
