"""Bags with ROS: the player that sends a recording, and the recorder."""
