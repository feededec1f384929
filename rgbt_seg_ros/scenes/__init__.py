"""The parts the generated road scenes are made of: camera, conditions, things, and the two cameras' radiometry."""
