"""What moderators set and do: blocks, log channels, purges."""
