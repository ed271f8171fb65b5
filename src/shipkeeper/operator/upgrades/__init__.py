"""ClusterUpgrade: what stands in the way of an upgrade, its plan, and the waves of its nodes."""
