"""Decoders: libsndfile and FFmpeg's libraries give samples block by block, and every error they report."""
