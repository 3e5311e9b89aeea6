"""What bounds conversations, as far as it has to be kept."""
