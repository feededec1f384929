"""The one table of parameters, files of them, and those of each camera pair. Knows no ROS."""
