"""The pictures and what is done to them before a network sees them: `dataset` first."""
