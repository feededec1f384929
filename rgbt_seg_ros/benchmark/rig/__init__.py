"""A generated pair of cameras and what they see, whose geometry is known exactly."""
