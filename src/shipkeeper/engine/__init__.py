"""What every procedure shares: plan, verdict, run, journal, lock, progress."""
