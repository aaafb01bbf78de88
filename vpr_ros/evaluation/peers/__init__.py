"""Other people's ways of doing what we do, for comparison. Nothing here runs on a robot."""
