"""Network definitions in torch, for training, export and loading checkpoints."""
