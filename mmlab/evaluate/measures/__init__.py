"""What counts as relevant, at which rank it stands, the measures of both, and the geometry of the vectors."""
