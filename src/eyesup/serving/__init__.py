"""Planners inside other people's programs: their request becomes an Observation, the Prediction their answer."""
