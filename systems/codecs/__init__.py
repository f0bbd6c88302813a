"""Classical codecs."""
