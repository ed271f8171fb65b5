"""The names of a sandbox's components and identities."""

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
ADMIN = "admin"
HOLLOW_NODES = "hollow-nodes"

# In the order of their start.
COMPONENTS = (ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER, HOLLOW_NODES)

# User name and groups of everybody who gets a kubeconfig with the sandbox.
IDENTITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    ADMIN: ("admin", ("system:masters",)),
    CONTROLLER_MANAGER: ("system:kube-controller-manager", ()),
    SCHEDULER: ("system:kube-scheduler", ()),
    HOLLOW_NODES: ("shipkeeper:hollow-nodes", ()),
}

# Key pairs beside those of the identities. A component that is a server and a client has two.
CLUSTER_CA = "ca"
ETCD_CA = "etcd-ca"
ETCD_CLIENT = "etcd-client"
SERVICE_ACCOUNTS = "service-accounts"
CONTROLLER_MANAGER_SERVER = f"{CONTROLLER_MANAGER}-server"
SCHEDULER_SERVER = f"{SCHEDULER}-server"

SERVICE_CIDR = "10.0.0.0/16"
# The first address of SERVICE_CIDR belongs to the service `kubernetes`.
SERVICE_ADDRESS = "10.0.0.1"
