"""Which RGB frame and which thermal frame belong together."""
