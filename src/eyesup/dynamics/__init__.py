"""How a car moves and is driven: kinematic bicycle, trajectory tracker, car following. Shared by scorer, world and closed loop."""
