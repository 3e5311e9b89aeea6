"""What moderators do: take away, block, filter, look back."""
