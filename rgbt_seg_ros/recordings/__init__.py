"""What a recording tells about itself: rates, gaps, and the delay between the cameras."""
