"""etcd: snapshots taken, looked into and restored, and a control plane brought back."""
