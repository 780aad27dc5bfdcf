"""Handing the record on: rows as CSV, JSON lines and SQLite files, images as ZIP, faces for a training."""
