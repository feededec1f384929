"""rosbag2 recordings (MCAP and SQLite, compressed too), read and written through the ``rosbags`` library, without ROS."""
