"""What `/moderation` shows and asks: purges, blocks, the log channel."""
