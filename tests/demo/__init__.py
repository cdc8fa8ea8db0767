"""The main job for real: three hosts are backed up while processes are killed, and the proof that nothing was lost."""
