"""What is kept: SQLAlchemy on SQLite or PostgreSQL, behind the core's ports."""
