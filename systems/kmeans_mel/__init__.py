"""A codec without weights: k-means codebooks over log-mel patches."""
