"""Heads fitted to any number of photos of a person: points first, then colours (docs/fitting.md)."""
