"""What could be done beside a run's own answer: rescorings, calibrations and weights compared, and latency."""
