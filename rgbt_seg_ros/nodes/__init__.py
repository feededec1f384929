"""The ROS 2 side: the only modules of this package that import ROS."""
