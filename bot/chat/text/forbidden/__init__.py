"""What is not to be shown, found in texts while they still arrive. Knows nobody's lists."""
