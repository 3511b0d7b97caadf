"""(prediction, truth) -> Score: pure functions, one protocol string each."""
