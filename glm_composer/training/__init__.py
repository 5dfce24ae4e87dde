"""Settings -> a Composer Trainer, and what hangs on it."""
