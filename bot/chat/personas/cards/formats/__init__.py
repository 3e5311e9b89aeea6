"""The formats of files that hold a character: each read from bytes, some written."""
