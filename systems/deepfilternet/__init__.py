"""DeepFilterNet 3: a denoiser whose trained weights a package carries."""
