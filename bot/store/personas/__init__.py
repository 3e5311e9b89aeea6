"""What guilds keep of their own: personas, lorebooks, and who speaks in their channels."""
