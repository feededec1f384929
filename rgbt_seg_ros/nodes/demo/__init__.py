"""The demonstration: a sequence sent through the real node, and what came back."""
