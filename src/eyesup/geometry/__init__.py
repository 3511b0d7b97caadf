"""Poses, boxes, polylines, polygons and camera projection. Pure NumPy, batched over leading axes."""
