"""What a run's directory says of it while it goes on and for good: no torch, no Composer."""
