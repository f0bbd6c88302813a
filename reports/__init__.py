"""Runs become tables, curves and pages."""
