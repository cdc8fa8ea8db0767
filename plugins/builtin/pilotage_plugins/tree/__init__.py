"""Trees of files: walking them, describing them exactly, and comparing a copy with the description."""
