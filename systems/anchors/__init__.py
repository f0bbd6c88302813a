"""Anchors, bounds and references: systems that no paper proposes and every table needs."""
