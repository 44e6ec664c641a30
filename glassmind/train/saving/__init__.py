"""Checkpoints: ``saved_state`` is what they hold, ``run_files`` where they and the metrics are."""
