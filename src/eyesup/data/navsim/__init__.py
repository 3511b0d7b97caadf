"""NAVSIM and OpenScene: logs, sensor blobs, splits, synthetic scenes and nuPlan maps in, the project's types out, and back.

source = NavsimSource(Roots("openscene", "maps"), find_split("navtest", ["openscene/config"]))
sample = source[0]                     # Observation and Truth
inputs = source.inputs(0)              # for scoring.pdm
"""
