"""Probes: what a system's representation of clips tells of their labels, learned by small classifiers."""
