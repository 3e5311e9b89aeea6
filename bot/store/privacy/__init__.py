"""What goes for good: a person's data, what has grown old, guilds and channels that are left."""
