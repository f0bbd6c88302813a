"""Datasets: cards, pinned lists and folders become clips."""
