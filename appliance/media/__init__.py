"""Letting streams in."""
