"""What «Why this reply?» shows, and its replays."""
