"""Studies: what could be done beside a run's own answer, tried on its queries and compared."""
