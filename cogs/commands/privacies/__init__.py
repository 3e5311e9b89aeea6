"""What `/privacy` shows, sends and takes away."""
