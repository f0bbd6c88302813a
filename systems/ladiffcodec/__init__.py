"""LaDiffCodec."""
