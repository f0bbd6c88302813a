"""Runs become tables, curves, pages and listening tests."""
