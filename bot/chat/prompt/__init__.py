"""From a turn to the prompt that it is written from."""
