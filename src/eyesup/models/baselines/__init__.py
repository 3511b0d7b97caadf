"""Planners that do not look: extrapolation, an MLP on the ego status, and the replayed expert. The rows to beat."""
