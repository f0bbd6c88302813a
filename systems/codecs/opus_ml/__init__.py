"""Opus with the neural enhancement of libopus 1.5's decoder, as a program for Node.js."""
