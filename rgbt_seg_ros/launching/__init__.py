"""What the launch files work out before they start anything: topics, camera pairs, commands. Imports neither launch nor ROS."""
