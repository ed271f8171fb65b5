"""An audit in the forms that other tools read."""
