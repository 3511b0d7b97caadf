"""Images to patch tokens."""
