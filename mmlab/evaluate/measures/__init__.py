"""What counts as right, at which rank it stands, and the measures of both."""
