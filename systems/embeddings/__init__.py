"""Networks that embed sounds and make none: rows to probe."""
