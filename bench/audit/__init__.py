"""Audits: how a metric answers to changes that a listener would hardly call a better or worse codec."""
