"""Where images come from: folders of files, and generated scenes."""
