"""Keys and values that the device has no room for, in the machine's memory."""
