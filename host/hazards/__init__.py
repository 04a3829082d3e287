"""The hazard suite: planted mistakes with their corrected twins, and whether each is reported, at its place."""
