"""How the weights move: ``groups`` (which optimizer trains which parameter), ``muon`` (the one for
matrices) and ``schedules`` (the learning rate over time)."""
