"""New certificates for a control plane, each proven by what its ports present afterwards."""
