"""The operator: custom resources, and the same procedures, carried out in the cluster."""
