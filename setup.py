"""What pyproject.toml cannot say: the build step that generates the ROS messages, and the shared files."""

import sys
from pathlib import Path

from setuptools import setup

# `python setup.py` and pip alike: tools/ is not a package and is never installed.
sys.path.insert(0, str(Path(__file__).parent / "tools"))

from ros_messages import RosDistribution, build, build_ros_messages, shared_files

setup(
    distclass=RosDistribution,
    cmdclass={"build": build, "build_ros_messages": build_ros_messages},
    data_files=shared_files(Path(__file__).parent),
)
