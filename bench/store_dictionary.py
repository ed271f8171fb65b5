"""Trains the zstd dictionary of store/: `python bench/store_dictionary.py` rewrites it.

The samples are what a fresh control plane holds and some plain workloads made by kubectl: public
words of Kubernetes, nothing of anybody's cluster. A new dictionary is for new repositories alone;
each repository carries its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import ByteString, Iterator
from itertools import product
from pathlib import Path

import zstandard

from shipkeeper.sandbox.assets.versions import NEWEST
from shipkeeper.sandbox.sandbox import Sandbox

DICTIONARY = Path(__file__).parents[1] / "src/shipkeeper/store/kubernetes.zdict"
SIZE = 64 * 1024
LEVEL = 3
KUBECTL = Path(sys.executable).with_name("kubectl")

APPS = ("web", "api", "worker", "cache", "queue", "mail", "search", "auth")
NAMESPACES = ("shop", "staging", "monitoring")
MADE = (
    "create deployment {app} --image=registry.example/{app}:1.4.2 --replicas=3 --port=8080",
    "expose deployment {app} --port=80 --target-port=8080",
    "create ingress {app} --rule={app}.example.com/*={app}:80,tls={app}-tls --class=nginx",
    "create configmap {app} --from-literal=LOG_LEVEL=info --from-literal=config.yaml=port:8080",
    "create secret generic {app} --from-literal=username={app} --from-literal=password=example",
    "create serviceaccount {app}",
    "create role {app} --verb=get,list,watch,create,update,patch,delete --resource=pods,secrets",
    "create rolebinding {app} --role={app} --serviceaccount=shop:{app}",
    "create poddisruptionbudget {app} --selector=app={app} --min-available=1",
    "autoscale deployment {app} --min=2 --max=10 --cpu=80%",
    "create cronjob {app} --image=registry.example/{app}:1.4.2 --schedule=17~3~*~*~* -- run",
    "create quota {app} --hard=cpu=10,memory=20Gi,pods=50",
)


def main() -> None:
    sandbox = Sandbox.up(f"dictionary-{os.getpid()}", NEWEST, print)
    try:
        samples: list[ByteString] = list(collect(str(sandbox.kubeconfig)))
    finally:
        sandbox.down()
    trained = zstandard.train_dictionary(SIZE, samples, level=LEVEL)
    DICTIONARY.write_bytes(trained.as_bytes())
    print(f"{len(samples)} samples of {sum(map(len, samples)):,} bytes -> {DICTIONARY.name}")


def collect(kubeconfig: str) -> Iterator[bytes]:
    """Every object of the control plane once the workloads are made, as the API server sends it."""
    for namespace in NAMESPACES:
        kubectl(kubeconfig, "create", "namespace", namespace)
    for namespace, app, line in product(NAMESPACES, APPS, MADE):
        words = [word.replace("~", " ") for word in line.format(app=app).split()]
        kubectl(kubeconfig, "-n", namespace, *words)
    names = kubectl(kubeconfig, "api-resources", "--verbs=list,create", "-o", "name").split()
    for name in names:
        listed = json.loads(
            kubectl(kubeconfig, "get", "-A", name, "--show-managed-fields", "-o", "json")
        )
        for item in listed["items"]:
            if name == "configmaps" and item["metadata"]["name"] == "kube-root-ca.crt":
                continue
            yield json.dumps(item, separators=(",", ":")).encode()


def kubectl(kubeconfig: str, *words: str) -> str:
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", kubeconfig, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"kubectl {' '.join(words)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
