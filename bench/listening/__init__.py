"""Listening tests: packs of sounds, the page that plays them, and the ratings that come back."""
