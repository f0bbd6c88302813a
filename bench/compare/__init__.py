"""Comparing two runs clip by clip: what pairs, what may be compared, and what the differences say."""
