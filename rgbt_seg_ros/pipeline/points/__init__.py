"""Points that carry what a mask says about them: from a depth image, from any point cloud, or from the ground alone."""
