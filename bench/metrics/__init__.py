"""One module per kind of measure; ``bench.metric.load_metric`` finds them by name."""
