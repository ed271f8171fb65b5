"""Node maintenance: cordon, drain, update, uncordon, node after node."""
