"""What `/settings` shows, and the panel that changes settings."""
