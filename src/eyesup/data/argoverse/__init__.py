"""Logs of the Argoverse 2 sensor dataset: real ego motion, boxes and maps as Scenes of the world, drawn by its cameras."""
