"""The words that a guild does not want: in what people say to the bot, and in what it says."""
