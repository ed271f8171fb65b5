"""The road back for a kubeadm control plane whose etcd is lost or must be set back."""
