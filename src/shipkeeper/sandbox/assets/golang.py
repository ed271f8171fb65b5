"""Fourth way: a Go toolchain builds the engines from the Go module proxy.

Kubernetes and etcd replace their sibling modules by folders of their own repository, so `go install
module@version` refuses them. A throw-away main module takes over their `go.mod` with every such
folder replaced by the sibling's published version.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import msgspec

from shipkeeper.sandbox.assets.engines import ETCD, NotServedError
from shipkeeper.sandbox.assets.versions import FITTING_ETCD, pairing, version_key
from shipkeeper.sandbox.assets.workshop import Workshop

KUBERNETES = "k8s.io/kubernetes"
_ETCD_SERVER = "go.etcd.io/etcd/server/v3"

# Old releases (1.20 for one) leave it out of their tree: there `make` generates it.
_GENERATED = "pkg/generated/openapi/zz_generated.openapi.go"
_USUAL_PLACE = "/usr/local/go/bin"

_MODULE = re.compile(r"^module \S+$", re.MULTILINE)
_LOCAL_SIBLING = re.compile(r"(\S+) => \.\.?/\S+")
_GO_DIRECTIVE = re.compile(r"^go (\d+)\.(\d+)", re.MULTILINE)
_GO_RELEASE = re.compile(r"go(\d+)\.(\d+)")


class _Source(msgspec.Struct, frozen=True):
    """A module to build from, and the version under which its siblings are published."""

    module: str
    version: str
    siblings: str


class _Download(msgspec.Struct, frozen=True, rename="pascal"):
    dir: str = ""
    error: str = ""


def build(workshop: Workshop) -> None:
    """Build the Kubernetes engines and a fitting etcd; NotServedError when Go cannot."""
    go = find_go()
    version = workshop.version
    source = _Source(KUBERNETES, version, "v0." + version.removeprefix("v1."))
    tree = _download(go, source)
    if not (tree / _GENERATED).exists():
        raise NotServedError(f"the Go module of {version} lacks generated code ({_GENERATED})")
    packages = [f"{KUBERNETES}/cmd/{name}" for name in workshop.kit.kubernetes]
    main = _throw_away_module(go, source, tree, workshop.scratch / "kubernetes")
    _go_build(go, workshop, main, workshop.directory, kubernetes_ldflags(version), packages)
    if workshop.kit.etcd:
        _build_etcd(workshop)


def find_go() -> Path:
    """The `go` command on PATH or in its usual place; NotServedError when there is none."""
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{_USUAL_PLACE}"
    found = shutil.which("go", path=path)
    if not found:
        raise NotServedError("there is no Go toolchain on PATH")
    return Path(found)


def listed_versions(module: str) -> list[str]:
    """The released versions of a module that the proxy lists; NotServedError without an answer."""
    answer = _ask(find_go(), "list", "-m", "-versions", module)
    if answer.returncode:
        raise NotServedError(_last_line(answer.stderr))
    return [version for version in answer.stdout.split()[1:] if "-" not in version]


def throw_away_go_mod(upstream: str, module: str, version: str, siblings: str) -> str:
    """`upstream`, the go.mod of `module`, made into a main module that requires `module`."""
    text = _MODULE.sub("module throwaway", upstream, count=1)
    text = _LOCAL_SIBLING.sub(rf"\1 => \1 {siblings}", text)
    return f"{text}\nrequire {module} {version}\n"


def kubernetes_ldflags(version: str, vendor: str = "") -> str:
    """Linker flags that write the version into Kubernetes binaries, as its own build does."""
    major, minor, _ = version_key(version)
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = (f"{vendor}k8s.io/component-base/version", f"{vendor}k8s.io/client-go/pkg/version")
    flags = [f"-X {p}.{name}={value}" for p in packages for name, value in values.items()]
    return " ".join(["-s -w", *flags])


def build_program(workshop: Workshop, module: str, version: str, output: Path) -> None:
    """Build the program of a module whose siblings have its version; NotServedError without Go."""
    go = find_go()
    source = _Source(module, version, version)
    main = _throw_away_module(go, source, _download(go, source), workshop.scratch / output.name)
    _go_build(go, workshop, main, output, "-s -w", [module])


def _build_etcd(workshop: Workshop) -> None:
    version = "v" + pairing(workshop.version, FITTING_ETCD)
    build_program(workshop, _ETCD_SERVER, version, workshop.directory / ETCD)


def _throw_away_module(go: Path, source: _Source, tree: Path, main: Path) -> Path:
    main.mkdir()
    upstream = (tree / "go.mod").read_text()
    text = throw_away_go_mod(upstream, source.module, source.version, source.siblings)
    (main / "go.mod").write_text(text)
    # The content alone: the module cache's read-only mode would keep go from adding to it.
    shutil.copyfile(tree / "go.sum", main / "go.sum")
    _require_toolchain(go, main, upstream)
    return main


def _require_toolchain(go: Path, main: Path, upstream: str) -> None:
    # Go 1.21 and newer refuse a module that needs a newer Go; older ones fail far into the build.
    # Asked inside the module, a Go that may switch toolchains answers with the one it will use.
    has = _GO_RELEASE.match(_ask(go, "env", "GOVERSION", directory=main).stdout)
    needs = _GO_DIRECTIVE.search(upstream)
    if has and needs and _numbers(has) < _numbers(needs):
        raise NotServedError(f"{go} is {has[0]}, the module needs {needs[0]}")


def _numbers(found: re.Match[str]) -> tuple[int, int]:
    return int(found[1]), int(found[2])


def _go_build(
    go: Path, workshop: Workshop, main: Path, output: Path, ldflags: str, packages: list[str]
) -> None:
    names = " ".join(package.removeprefix(f"{KUBERNETES}/cmd/") for package in packages)
    workshop.run(
        f"building {names} with Go",
        *(go, "build", "-trimpath", "-mod=mod", "-ldflags", ldflags, "-o", output, *packages),
        cwd=main,
        environment={"CGO_ENABLED": "0", "GO111MODULE": "on", "GOWORK": "off"},
    )


def _download(go: Path, source: _Source) -> Path:
    answer = _ask(go, "mod", "download", "-json", f"{source.module}@{source.version}")
    if not answer.stdout:
        raise NotServedError(_last_line(answer.stderr))
    download = msgspec.json.decode(answer.stdout, type=_Download)
    if download.error:
        raise NotServedError(download.error.partition("\n")[0])
    return Path(download.dir)


def _ask(
    go: Path, *arguments: str, directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [go, *arguments],
        cwd=directory or "/",
        env={**os.environ, "GO111MODULE": "on", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["go answered nothing"])[-1]
