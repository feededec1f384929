"""What a model makes of a recording: every pair of it, exactly as the node would pair and segment it."""
