"""What the tests of engines stand on: engines that are tiny scripts, and a mirror on loopback."""

import hashlib
import json
import platform
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KUBERNETES_ENGINES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
ENGINES = ("etcd", *KUBERNETES_ENGINES)


def make_engines(directory: Path, kubernetes: str = "v1.37.2", etcd: str = "3.7.0") -> Path:
    """Write four scripts that report versions, as the real engines do."""
    directory.mkdir(parents=True, exist_ok=True)
    write_script(directory / "etcd", f"echo 'etcd Version: {etcd}'")
    for name in KUBERNETES_ENGINES:
        write_script(directory / name, f"echo 'Kubernetes {kubernetes}'")
    return directory


def architecture() -> str:
    """This machine's architecture as release paths spell it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def write_script(path: Path, *lines: str) -> None:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)


class Mirror:
    """A directory served over HTTP; files named in `truncated` break off half way."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.truncated: set[str] = set()
        self.tells_length = True
        mirror = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Stay quiet."""

            def send_header(self, keyword: str, value: str) -> None:
                if mirror.tells_length or keyword != "Content-Length":
                    super().send_header(keyword, value)

            def copyfile(self, source: Any, outputfile: Any) -> None:
                content = source.read()
                cut = self.path.rpartition("/")[2] in mirror.truncated
                outputfile.write(content[: len(content) // 2] if cut else content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def publish(self, engines: Path, version: str, architecture: str, etcd: str = "3.7.0") -> Path:
        """Lay out a release as the official hosts do; returns the folder of the Kubernetes part."""
        folder = self.root / f"release/{version}/bin/linux/{architecture}"
        folder.mkdir(parents=True)
        for name in KUBERNETES_ENGINES:
            content = (engines / name).read_bytes()
            (folder / name).write_bytes(content)
            (folder / f"{name}.sha256").write_text(hashlib.sha256(content).hexdigest())
        self._publish_etcd(engines / "etcd", f"etcd-v{etcd}-linux-{architecture}", f"v{etcd}")
        return folder

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _publish_etcd(self, engine: Path, name: str, version: str) -> None:
        folder = self.root / "etcd" / version
        folder.mkdir(parents=True)
        archive = folder / f"{name}.tar.gz"
        with tarfile.open(archive, "w:gz") as files:
            files.add(engine, f"{name}/etcd")
        checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
        other = f"{'0' * 64}  etcd-{version}-darwin-amd64.zip\n"
        (folder / "SHA256SUMS").write_text(f"{other}{checksum}  {archive.name}\n")


class GoProxy:
    """A Go module proxy in a directory, with a Kubernetes and an etcd that only tell versions."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()

    def use(self, modules: Path, environment: pytest.MonkeyPatch) -> None:
        """Make Go take modules from here alone, and keep them in `modules`."""
        environment.setenv("GOPROXY", self.url)
        environment.setenv("GOSUMDB", "off")
        environment.setenv("GOTOOLCHAIN", "local")
        environment.setenv("GOMODCACHE", str(modules))
        environment.setenv("GOFLAGS", "-modcacherw")

    def publish_kubernetes(self, number: str, *, go: str = "1.21", main: str = "") -> None:
        """Publish k8s.io/kubernetes v1.`number` with its sibling, both as small as can be."""
        program = _VERSION_PROGRAM.format(
            words="Kubernetes ", package="k8s.io/component-base/version"
        )
        files = {f"cmd/{name}/main.go": main or program for name in KUBERNETES_ENGINES}
        files["pkg/generated/openapi/zz_generated.openapi.go"] = "package openapi\n"
        files["go.mod"] = _go_mod("k8s.io/kubernetes", go, "k8s.io/component-base", "v0.0.0")
        self.publish("k8s.io/kubernetes", f"v1.{number}", files)
        sibling = {
            "go.mod": f"module k8s.io/component-base\n\ngo {go}\n",
            "version/version.go": 'package version\n\nvar gitVersion = "unknown"\n\n'
            "func Get() string { return gitVersion }\n",
        }
        self.publish("k8s.io/component-base", f"v0.{number}", sibling)

    def publish_etcd(self, version: str) -> None:
        """Publish etcd's server module and its sibling, as small as can be."""
        server, api = "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/api/v3"
        program = _VERSION_PROGRAM.format(words="etcd Version: ", package=f"{api}/version")
        files = {"go.mod": _go_mod(server, "1.21", api, version), "main.go": program}
        self.publish(server, version, files)
        number = version.removeprefix("v")
        sibling = {
            "go.mod": f"module {api}\n\ngo 1.21\n",
            "version/version.go": f'package version\n\nfunc Get() string {{ return "{number}" }}\n',
        }
        self.publish(api, version, sibling)

    def publish(self, module: str, version: str, files: dict[str, str]) -> None:
        """Publish one version of a module, in the layout that every Go proxy has."""
        folder = self.root / module / "@v"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "list").open("a") as versions:
            versions.write(f"{version}\n")
        (folder / f"{version}.info").write_text(json.dumps({"Version": version}))
        (folder / f"{version}.mod").write_text(files["go.mod"])
        with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
            for name, content in {"go.sum": "", **files}.items():
                archive.writestr(f"{module}@{version}/{name}", content)


_VERSION_PROGRAM = """\
package main

import (
	"os"

	"{package}"
)

func main() {{ os.Stdout.WriteString("{words}" + version.Get() + "\\n") }}
"""


def _go_mod(module: str, go: str, sibling: str, version: str) -> str:
    replaced = f"replace {sibling} => ./staging/src/{sibling}"
    return f"module {module}\n\ngo {go}\n\nrequire {sibling} {version}\n\n{replaced}\n"
