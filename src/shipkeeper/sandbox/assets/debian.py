"""Fifth way: Debian's source package of Kubernetes v1.20.2, built with Debian's Go 1.19.

The sources carry reflect2 1.0.1, which panics in kubeadm with that Go; Debian's 1.0.2 is put in its
place.

Neither the packages nor anything else is installed: apt downloads into the workshop, and all is
unpacked and built there.
"""

import os
import re
import shutil
from pathlib import Path

from shipkeeper.sandbox.assets.apt import PrivateApt, require_apt
from shipkeeper.sandbox.assets.engines import ETCD, NotServedError
from shipkeeper.sandbox.assets.golang import KUBERNETES, kubernetes_ldflags
from shipkeeper.sandbox.assets.workshop import Workshop

_RELEASE = "bookworm"
_VERSION = "v1.20.2"
_GO = "golang-1.19"
_GOROOT = "usr/lib/go-1.19"

_REFLECT2 = "golang-github-modern-go-reflect2-dev"
_REFLECT2_SOURCE = "usr/share/gocode/src/github.com/modern-go/reflect2"
_REFLECT2_TARGET = "vendor/github.com/modern-go/reflect2"

_VENDOR = f"{KUBERNETES}/vendor/"
_OPENAPI_TAG = re.compile(rb"^// *\+k8s:openapi-gen=", re.MULTILINE)
_OPENAPI_ROOTS = ("pkg", "staging/src/k8s.io")
_OPENAPI_FOREIGN = ("vendor/k8s.io/code-generator/", "vendor/k8s.io/sample-apiserver/")


def build(workshop: Workshop) -> None:
    """Build v1.20.2 and unpack etcd 3.4; NotServedError for another version or without apt."""
    if workshop.version != _VERSION:
        raise NotServedError(f"Debian's source package is {_VERSION}")
    require_apt()
    apt = PrivateApt(workshop, release=_RELEASE)
    apt.update()
    apt.fetch_source("kubernetes")
    apt.fetch(f"{_GO}-go", f"{_GO}-src", _REFLECT2, "etcd-server")
    tree = _unpack_sources(workshop, apt)
    environment = _unpack_go(workshop, apt)
    if workshop.kit.etcd:
        _unpack_etcd(workshop, apt)
    if "kube-apiserver" in workshop.kit.names:
        _generate_openapi(workshop, tree, environment)
    _replace_reflect2(workshop, apt, tree)
    _build_engines(workshop, tree, environment)


def openapi_packages(tree: Path) -> list[str]:
    """The packages of a Kubernetes tree whose types its OpenAPI document describes.

    The rule is that of the tree's own make files: a comment tag in any file of the package.
    """
    folders = {
        os.path.relpath(folder, tree).replace("staging/src", "vendor", 1)
        for root in _OPENAPI_ROOTS
        for folder, _, files in os.walk(tree / root)
        if any(
            name.endswith(".go") and _OPENAPI_TAG.search(Path(folder, name).read_bytes())
            for name in files
        )
    }
    return [
        f"{KUBERNETES}/{folder}"
        for folder in sorted(folders)
        if not folder.startswith(_OPENAPI_FOREIGN)
    ]


def _unpack_etcd(workshop: Workshop, apt: PrivateApt) -> None:
    unpacked = workshop.scratch / "etcd"
    apt.unpack("etcd-server", unpacked)
    (unpacked / "usr/bin/etcd").rename(workshop.directory / ETCD)


def _unpack_sources(workshop: Workshop, apt: PrivateApt) -> Path:
    archives = list(apt.downloads.glob(f"kubernetes_*{_VERSION.removeprefix('v')}.orig.tar.gz"))
    if not archives:
        raise NotServedError(f"Debian's source package is not {_VERSION} any more")
    tree = workshop.scratch / "gopath/src" / KUBERNETES
    tree.mkdir(parents=True)
    command = ("tar", "-xzf", archives[0], "--strip-components=1", "--no-same-owner", "-C", tree)
    workshop.run("unpacking the sources", *command)
    return tree


def _unpack_go(workshop: Workshop, apt: PrivateApt) -> dict[str, str]:
    unpacked = workshop.scratch / "go"
    for package in (f"{_GO}-go", f"{_GO}-src"):
        apt.unpack(package, unpacked)
    return {
        "CGO_ENABLED": "0",
        "GO111MODULE": "off",
        "GOCACHE": f"{workshop.scratch}/gocache",
        "GOENV": "off",
        "GOFLAGS": "",
        "GOPATH": f"{workshop.scratch}/gopath",
        "GOROOT": f"{unpacked / _GOROOT}",
    }


def _generate_openapi(workshop: Workshop, tree: Path, environment: dict[str, str]) -> None:
    """Write the one generated file that the package leaves out, as `make gen_openapi` would."""
    generator, report = workshop.scratch / "openapi-gen", workshop.scratch / "violations"
    workshop.run(
        "building the OpenAPI generator",
        *(_go(environment), "build", "-o", generator),
        f"{_VENDOR}k8s.io/kube-openapi/cmd/openapi-gen",
        cwd=tree,
        environment=environment,
    )
    workshop.run(
        "generating OpenAPI definitions",
        *(generator, "-i", ",".join(openapi_packages(tree))),
        *("-p", f"{KUBERNETES}/pkg/generated/openapi", "-O", "zz_generated.openapi"),
        *("-h", "vendor/k8s.io/code-generator/hack/boilerplate.go.txt", "-r", report),
        cwd=tree,
        environment=environment,
    )
    if report.read_bytes() != (tree / "api/api-rules/violation_exceptions.list").read_bytes():
        raise NotServedError("the generated OpenAPI definitions are not those the tree expects")


def _replace_reflect2(workshop: Workshop, apt: PrivateApt, tree: Path) -> None:
    unpacked = workshop.scratch / "reflect2"
    apt.unpack(_REFLECT2, unpacked)
    target = tree / _REFLECT2_TARGET
    shutil.rmtree(target)
    shutil.copytree(unpacked / _REFLECT2_SOURCE, target)


def _build_engines(workshop: Workshop, tree: Path, environment: dict[str, str]) -> None:
    # In GOPATH mode the linker knows vendored packages by their place in the tree.
    ldflags = kubernetes_ldflags(_VERSION, vendor=_VENDOR)
    packages = [f"{KUBERNETES}/cmd/{name}" for name in workshop.kit.kubernetes]
    workshop.run(
        f"building {' '.join(workshop.kit.kubernetes)} with Go 1.19",
        *(_go(environment), "build", "-trimpath", "-ldflags", ldflags),
        *("-o", workshop.directory, *packages),
        cwd=tree,
        environment=environment,
    )


def _go(environment: dict[str, str]) -> Path:
    return Path(environment["GOROOT"], "bin/go")
