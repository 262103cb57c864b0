"""Textures of heads, from the photos that they were fitted to."""
