"""Download images from addresses on the web that nobody vouches for."""
