"""What the core says to Discord: messages, streamed, edited and counted."""
