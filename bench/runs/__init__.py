"""Runs: planned, generated, measured, stored, and read back."""
