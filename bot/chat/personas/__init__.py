"""Personas: from a file or table to :class:`bot.chat.persona.Persona`."""
