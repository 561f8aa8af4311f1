"""Builds the images of images/: `python -m tools.images --help`, docs/images.md. Standard library only."""
