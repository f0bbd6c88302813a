"""One module per kind of measure; ``ldmbench.metrics._base.load_metric`` finds them by name."""
