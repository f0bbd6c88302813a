"""Adapters: one module and one card for each system."""
