"""Pieces that latent diffusion adapters share."""
