"""A model that is kept running: shared by camera pairs, warmed up, watched and replaced. Knows no ROS."""
