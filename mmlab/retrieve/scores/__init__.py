"""Rankings and score matrices -> better ones: normalize, fuse, rescore against hubs, calibrate."""
