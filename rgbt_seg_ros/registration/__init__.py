"""Image registration: where the thermal image lies in the RGB image, and how far its stamps are off. Knows no ROS."""
